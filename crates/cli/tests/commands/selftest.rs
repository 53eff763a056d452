//! `gristmill selftest`: its output and its exit code.

use crate::tool::Done;
use serde_json::Value;
use std::path::Path;

fn gristmill(arguments: &[&str]) -> Done {
    crate::tool::gristmill(Path::new("."), arguments)
}

#[test]
fn it_passes_here_and_says_what_it_ran() {
    let text = gristmill(&["selftest", "--backend", "cpu", "--seed", "7"]).rows();
    let mut rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.remove(0), "back end cpu (asked for by name), seed 7");
    let last = rows.pop().unwrap();
    assert_eq!(last, format!("{} passed, 0 failed, 0 skipped", rows.len()));
    for row in &rows {
        assert!(row.starts_with("passed"), "{row}");
    }
    for theme in [
        "opcodes",
        "packed slots",
        "scan",
        "programs",
        "fences",
        "tenants",
        "leases",
        "shutdown",
        "jobs",
    ] {
        let of_theme = format!(" {theme}: ");
        assert!(
            rows.iter().any(|row| row.contains(&of_theme)),
            "{theme}: {text}"
        );
    }
}

#[test]
fn a_seed_runs_the_same_again() {
    let answer = |seed: &str| -> Value {
        let filter = "random operations";
        let text = gristmill(&[
            "selftest",
            "--backend=cpu",
            "--json",
            "--filter",
            filter,
            "--seed",
            seed,
        ])
        .rows();
        serde_json::from_str(&text).unwrap()
    };
    let whats = |answer: &Value| -> Vec<String> {
        let cases = answer["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 2, "{answer}");
        assert!(
            cases.iter().all(|case| case["result"] == "passed"),
            "{answer}"
        );
        cases.iter().map(|case| case["what"].to_string()).collect()
    };
    let (first, second, other) = (answer("5"), answer("5"), answer("6"));
    assert_eq!(
        (&first["backend"], &first["seed"], &first["passed"]),
        (&"cpu".into(), &5.into(), &2.into())
    );
    assert_eq!(whats(&first), whats(&second));
    assert_ne!(whats(&first), whats(&other));
}

#[test]
fn a_filter_that_no_case_has_is_an_error() {
    let done = gristmill(&["selftest", "--backend=cpu", "--filter", "no such case"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("--filter"), "{done:?}");
}

/// Of jobs a device does a part, and the host the rest. What came of it is told, and that some chunks have more than a
/// device can tell.
#[test]
fn jobs_have_the_same_rows_on_a_device() {
    let answer = |backend: &str| {
        let done = gristmill(&["selftest", "--backend", backend, "--filter=jobs:", "--json"]);
        let answer = serde_json::from_slice::<Value>(&done.out);
        answer.map_err(|_| done.err)
    };
    let (cpu, device) = (answer("cpu").unwrap(), answer("opencl"));
    let Ok(device) = device.map_err(gristmill_testing::skipped) else {
        return;
    };
    let cases = |answer: &Value| -> Vec<Value> { answer["cases"].as_array().unwrap().clone() };
    for case in cases(&cpu).iter().chain(&cases(&device)) {
        assert_eq!(case["result"], "passed", "{case}");
    }
    let names = |answer: &Value| -> Vec<Value> {
        let cases = cases(answer);
        cases.iter().map(|case| case["case"].clone()).collect()
    };
    assert!(names(&cpu).len() > 10 && names(&cpu) == names(&device));
    for (name, told) in [
        (
            "jobs: more lines than a record area holds",
            "1 times a chunk had more such lines than",
        ),
        (
            "jobs: more candidates than a record area holds",
            "1 of the chunks had more candidates than",
        ),
        ("jobs: findings of rules", "the device looked for "),
        (
            "jobs: several digests over one read",
            "the device made blake3, ",
        ),
    ] {
        let cases = cases(&device);
        let case = cases.iter().find(|case| case["case"] == name).unwrap();
        assert!(case["what"].as_str().unwrap().contains(told), "{case}");
    }
}
