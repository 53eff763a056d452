//! Secrets in URLs and variables: they are in no row, no message and no file. `world::wait` looks for them in what is
//! printed.

use super::world::{finish, wait, World};
use gristmill_testing::store::Fault;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Looks for secrets in all files but those that hold URLs by our own hand.
fn files_hold_none(world: &World, but: &str) {
    for entry in fs::read_dir(world.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with(but) {
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hunter2"), "{}", path.display());
        }
    }
}

const COMMANDS: [&[&str]; 40] = [
    &["digest"],
    &[
        "digest",
        "--json",
        "--stats",
        "--algorithm",
        "sha256,blake3",
    ],
    &["digest", "--output", "digests.parquet"],
    &["digest", "--manifest", "m.jsonl", "--chunks", "gear"],
    &["digest", "--manifest", "m.parquet"],
    &["digest", "--record", "digest.log"],
    &["scan", "-n", "-H", "needle"],
    &["scan", "--json", "needle"],
    &["scan", "--all", "needle", "--output", "all.csv"],
    &["scan", "--all", "--record", "scan.log", "needle"],
    &["scan", "--files"],
    &["scan", "--rules", "rules.txt", "--sarif"],
    &["scan", "-z", "--stats", "needle"],
    &["stats", "--json"],
    &["run", "--table", "program.vasm"],
    &["digest", "--read-path", "passthrough"],
    &["ingest"],
    &["doctor"],
    &["dupes"],
    &["diff", "m.jsonl"],
    // Here a file of this machine is wanted, or nothing at all.
    &["diff", "m.jsonl", "d", "--output"],
    &["digest", "d", "--manifest"],
    &["digest", "d", "--record"],
    &["digest", "--files-from"],
    &["digest", "--check"],
    &["scan", "x", "d", "-f"],
    &["scan", "d", "--rules"],
    &["scan", "d", "--set"],
    &["verify"],
    &["replay"],
    &["compile", "-o", "x.gms", "-f"],
    &["mill", "d", "+", "digest", "+", "digest", "--output"],
    &["selftest"],
    // Behind a +, and in what the parser refuses.
    &["mill", "d", "+", "digest"],
    &["mill", "d", "+", "scan", "--all", "x"],
    &["mill", "d", "+"],
    &["mill", "d", "+", "digest", "--chunks"],
    &["mill", "d", "--workers"],
    &["digest", "--algorithm"],
    &["scan", "x", "d", "--context"],
];

#[test]
fn jobs_show_no_secret_of_a_url_behind_a_plus_sign_or_in_a_file() {
    let world = World::new();
    world.put("d/a", "a needle\n");
    let url = "https://user:hunter2@h/f?sig=hunter2";
    let shown = "https://h/f";
    let refused = |arguments: &[&str]| {
        let done = world.run(arguments);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.contains(shown), "{done:?}");
    };
    for job in [
        &[url][..],
        &["digest", url],
        &["scan", "--all", "x", url],
        &["digest", "--chunks", url],
        &["digest", &format!("--chunks={url}")],
        &["digest", "--algorithm", &format!("sha256,{url},blake3")],
        &["scan", "--all", &format!("-C{url}"), "x"],
        &["digest", "--output", url],
    ] {
        refused(&[&["mill", "d", "+"], job].concat());
    }
    for text in [
        format!("record = '{url}'\n[[job]]\ncommand = 'stats'\n"),
        format!("workers = '{url}'\n[[job]]\ncommand = 'stats'\n"),
        format!("'{url}' = 1\n"),
        format!("[[job]]\ncommand = 'digest'\nchunks = '{url}'\n"),
        format!("[[job]]\ncommand = 'digest'\noutput = '{url}'\n"),
        format!("[[job]]\ncommand = 'digest'\narguments = ['{url}']\n"),
        format!("[[job]]\ncommand = 'digest'\n'{url}' = true\n"),
    ] {
        fs::write(world.path().join("list"), &text).unwrap();
        refused(&["mill", "d", "--jobs", "list"]);
    }
    fs::write(world.path().join("list"), format!("{url}\n")).unwrap();
    assert_eq!(world.run(&["mill", "d", "--jobs", "list"]).code, Some(2));
    files_hold_none(&world, "list");
}

#[test]
fn secrets_of_urls_are_in_no_row_no_message_and_no_file() {
    let world = World::new();
    world.put("d/a", "a needle\n");
    fs::write(world.path().join("rules.txt"), "needle needle\n").unwrap();
    let text =
        ".acc    count sum\n    each  r1, 1\n      const r2, 1\n      acc   count, r2\n    end\n";
    fs::write(world.path().join("program.vasm"), text).unwrap();
    let endpoint = world.store.endpoint();
    let host = endpoint.strip_prefix("http://").unwrap();
    let signed = format!(
        "http://user:hunter2@{host}/bucket/d/a?sv=1&sig=hunter2&X-Amz-Signature=hunter2#hunter2"
    );
    for command in COMMANDS {
        let done = world.run(&[command, &[&signed]].concat());
        assert!(done.code.is_some_and(|code| code <= 2), "{done:?}");
        files_hold_none(&world, "list");
    }
    let replayed = world.run(&["replay", "digest.log"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let mill = [
        "mill", &signed, "+", "digest", "--output", "s.txt", "+", "stats",
    ];
    assert_eq!(world.run(&mill).code, Some(0));
    world.store.fails(|_, _| Fault::Status(403, "AccessDenied"));
    for command in COMMANDS {
        world.run(&[command, &[&signed]].concat());
    }
    files_hold_none(&world, "list");
}

#[test]
fn malformed_urls_and_lists_of_them_show_no_secret() {
    let world = World::new();
    world.put("d/a", "a needle\n");
    for (number, url) in [
        "http://user:hunter2@[::x]/a",
        "http://user:hunter2@/a",
        "http://user:hunter2",
        "http://user:hunter2@127.0.0.1:99999/a",
        "http://user:hun%ter2@127.0.0.1:1/a?hunter2",
        "https://127.0.0.1:1?hunter2",
        "s3://AKIA:hunter2@bucket/d/a",
        "s3://AKIA:hunter2/d/a",
        "s3://bucket/d/a?AWSAccessKeyId=AKIA&Signature=hunter2",
        "s3://bucket/d/a?X-Amz-Security-Token=hunter2",
        "s3://bucket/d/?X-Amz-Signature=hunter2",
        "gs://bucket/a?GoogleAccessId=a&Expires=1&Signature=hunter2",
        "az://container/a?sv=2024&se=1&sig=hunter2",
        "az://account:hunter2@container/a",
    ]
    .into_iter()
    .enumerate()
    {
        // How a URL is malformed is no matter to most commands.
        let own = |(place, _): &(usize, &&[&str])| place % 15 == number || *place == 0;
        for (_, command) in COMMANDS.iter().enumerate().filter(own) {
            let mut tool = world.tool(command);
            tool.arg(url).env("AWS_MAX_ATTEMPTS", "1");
            finish(tool);
        }
        // A URL in a list, as a line that is none of a list, and behind a path.
        for (flag, text) in [
            ("--files-from", format!("{url}\n")),
            ("--check", format!("{}  {url}\n", "0".repeat(64))),
            ("--check", format!("{url}\n")),
            ("--check", format!("BLAKE3 ({url}) = 00\n")),
        ] {
            fs::write(world.path().join("list"), text).unwrap();
            let mut tool = world.tool(&["digest", flag, "list"]);
            tool.env("AWS_MAX_ATTEMPTS", "1");
            finish(tool);
        }
        files_hold_none(&world, "list");
    }
    for url in [
        &b"http://user:hunter2@h/\xff?sig=hunter2"[..],
        b"s3://b/\xff?sig=hunter2",
    ] {
        for command in COMMANDS {
            let mut tool = world.tool(command);
            tool.arg(OsStr::from_bytes(url));
            let done = wait(tool.spawn().unwrap());
            assert_eq!(done.code, Some(2), "{done:?}");
        }
    }
}

#[test]
fn the_file_that_is_read_without_being_named_is_told() {
    let world = World::new();
    let file = ".config/gcloud/application_default_credentials.json";
    fs::create_dir_all(world.path().join(".config/gcloud")).unwrap();
    fs::write(world.path().join(file), r#"{"hunter2": hunter2"#).unwrap();
    let mut tool = world.tool(&["digest", "gs://bucket/a"]);
    tool.env("HOME", world.path());
    let done = finish(tool);
    assert!(done.failure().contains(file), "{done:?}");
}
