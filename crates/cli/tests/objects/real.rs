//! Servers that others wrote: their answers are those of the stores, so far as readers see them.

use super::peers::{openssl, Peer};
use super::world::{finish, Done, World};
use gristmill_testing::store::Fault;

/// Names of objects as they are, and as HTTP escapes them.
const NAMES: [(&str, &str); 6] = [
    ("d/plain.txt", "d/plain.txt"),
    ("d/a b+c.txt", "d/a%20b%2Bc.txt"),
    (
        "d/100%&<x>'\"=?#.txt",
        "d/100%25%26%3Cx%3E%27%22%3D%3F%23.txt",
    ),
    ("d/ü/日本.txt", "d/%C3%BC/%E6%97%A5%E6%9C%AC.txt"),
    ("d/empty", "d/empty"),
    ("d/large", "d/large"),
];

/// More names than a page of a listing has.
const MANY: usize = 1_100;

/// An account's token for Azurite, whose key everybody knows: it may read, write and list until the year 2100. Its
/// signature must be seen nowhere.
const TOKEN: &str = "sv=2018-11-09&ss=b&srt=sco&sp=rwlc&se=2100-01-01T00%3A00%3A00Z&sig=dWXftTknaZDW1sTEaxEiWc%2FKsbJpH6fQx%2B5ZLh4%2BWaM%3D";

/// The key of that account.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

type Variables = Vec<(&'static str, String)>;

fn bytes_of(name: &str) -> Vec<u8> {
    match name {
        "d/empty" => Vec::new(),
        "d/large" => b"needle in the hay\n".repeat(1 << 18),
        name => format!("a needle in {name}\n").into_bytes(),
    }
}

/// Makes files, and hands each to the server by its escaped name.
fn fill(world: &World, put: impl Fn(&str, &[u8])) {
    for (name, escaped) in NAMES {
        let bytes = bytes_of(name);
        world.put(name, bytes.clone());
        put(escaped, &bytes);
    }
    for number in 0..MANY {
        let (name, line) = (format!("d/many/{number}"), format!("needle {number}\n"));
        world.put(&name, line.as_str());
        put(&name, line.as_bytes());
    }
}

fn run(world: &World, variables: &Variables, arguments: &[&str]) -> Done {
    let mut tool = world.tool(arguments);
    tool.envs(variables.iter().map(|(name, value)| (name, value)));
    finish(tool)
}

/// Compares what the tool says of objects with what it says of files.
fn compare(world: &World, variables: &Variables, scheme: &str) {
    let url = format!("{scheme}://bucket/d/");
    for arguments in [
        &["digest"][..],
        &["digest", "--algorithm", "sha256", "--chunk-size", "65536"],
        &["scan", "-c", "needle"],
    ] {
        let with = |place: &str| {
            let mut all = arguments.to_vec();
            all.push(place);
            run(world, variables, &all).rows()
        };
        let mut expected: Vec<String> = with("d/")
            .iter()
            .map(|row| row.replace("d/", &url))
            .collect();
        expected.sort_unstable();
        let rows = with(&url);
        assert!(rows == expected, "{} rows, {}", rows.len(), expected.len());
    }
    let odd = format!("{scheme}://bucket/d/100%&<x>'\"=?#.txt");
    assert_eq!(run(world, variables, &["digest", &odd]).rows().len(), 1);
    let large = format!("{scheme}://bucket/d/large");
    let ranges = ["digest", "--stats", "--chunk-size", "65536", &large];
    let done = run(world, variables, &ranges);
    let counted = done.err.lines().find_map(|line| {
        let (_, rest) = line.strip_prefix("objects ")?.split_once(" in ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    // A range for each chunk.
    assert!(counted.is_some_and(|requests| requests >= 72), "{done:?}");
    let gone = run(
        world,
        variables,
        &["digest", &format!("{scheme}://bucket/none")],
    );
    assert!(gone.failure().contains("no such object"), "{gone:?}");
}

/// A key of a service account whose store is there.
fn account(url: &str) -> String {
    let account = serde_json::json!({
        "private_key": openssl(&["genrsa", "2048"]),
        "private_key_id": "1",
        "client_email": "reader@example.org",
        "gcs_base_url": url,
    });
    account.to_string()
}

/// The line of a run that must be refused.
fn refused(world: &World, variables: &Variables, url: &str) -> String {
    let done = run(world, variables, &["digest", url]);
    let line = done.failure();
    assert!(line.contains("access is refused"), "{line}");
    for secret in [KEY, TOKEN, "eyJ", "sig=", "PRIVATE"] {
        assert!(!line.contains(secret), "{line}");
    }
    line.to_owned()
}

#[test]
fn a_server_of_amazons_interface_gives_the_same_answers() {
    let Some(server) = Peer::amazon() else {
        return;
    };
    let world = World::new();
    server.put("bucket", "", b"");
    fill(&world, |name, bytes| {
        server.put(&format!("bucket/{name}"), "", bytes)
    });
    server.put("bucket/d/placeholder/", "", b"");
    let endpoint = format!("http://{}", server.address);
    let variables = vec![("AWS_ENDPOINT_URL", endpoint.clone())];
    compare(&world, &variables, "s3");
    let gone = run(&world, &variables, &["digest", "s3://nobucket/x/"]);
    assert!(gone.failure().contains("no such bucket"), "{gone:?}");

    // A manifest lies in the store, too.
    run(
        &world,
        &variables,
        &["digest", "--manifest=m.parquet", "d/"],
    )
    .rows();
    let manifest = std::fs::read(world.path().join("m.parquet")).unwrap();
    server.put("bucket/m.parquet", "", &manifest);
    let url = "s3://bucket/m.parquet";
    for arguments in [["diff", "m.parquet", url], ["diff", url, "s3://bucket/d/"]] {
        let rows = run(&world, &variables, &arguments).rows();
        let unchanged = format!("{} unchanged", NAMES.len() + MANY);
        assert!(rows[0].contains(&unchanged), "{rows:?}");
    }

    // Google's listings are those of S3, in pages, too.
    let variables = vec![
        ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", account(&endpoint)),
    ];
    compare(&world, &variables, "gs");
}

#[test]
fn a_server_of_googles_interface_gives_the_same_answers() {
    let world = World::new();
    fill(&world, |_, _| ());
    let data = world.path().join("buckets");
    std::fs::create_dir(&data).unwrap();
    let bucket = data.join("bucket");
    std::fs::create_dir(&bucket).unwrap();
    std::fs::rename(world.path().join("d"), bucket.join("d")).unwrap();
    let Some(server) = Peer::google(&data, None) else {
        return;
    };
    std::fs::rename(bucket.join("d"), world.path().join("d")).unwrap();
    let variables = vec![
        (
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            account(&format!("http://{}", server.address)),
        ),
        ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
    ];
    compare(&world, &variables, "gs");

    // That server lets everybody in.
    world
        .store
        .fails(|_, _| Fault::Status(401, "AuthenticationRequired"));
    let variables = vec![
        (
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            account(&world.store.endpoint()),
        ),
        ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
    ];
    for url in ["gs://bucket/d/", "gs://bucket/d/plain.txt"] {
        let line = refused(&world, &variables, url);
        assert!(line.contains("answers 401"), "{line}");
        assert!(line.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{line}");
    }
}

#[test]
fn microsofts_server_of_azures_interface_gives_the_same_answers() {
    let Some(server) = Peer::azure() else {
        return;
    };
    let world = World::new();
    let account = "devstoreaccount1";
    server.put(
        &format!("{account}/bucket?restype=container&{TOKEN}"),
        "",
        b"",
    );
    fill(&world, |name, bytes| {
        let path = format!("{account}/bucket/{name}?{TOKEN}");
        server.put(&path, "x-ms-blob-type: BlockBlob\r\n", bytes);
    });
    let with = |credentials: &[(&'static str, &str)]| {
        let mut variables = vec![
            ("AZURE_STORAGE_ACCOUNT_NAME", account.to_owned()),
            (
                "AZURE_STORAGE_ENDPOINT",
                format!("http://{}/{account}", server.address),
            ),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ];
        variables.extend(
            credentials
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        variables
    };
    compare(&world, &with(&[("AZURE_STORAGE_ACCOUNT_KEY", KEY)]), "az");
    let token = with(&[("AZURE_STORAGE_SAS_TOKEN", TOKEN)]);
    assert_eq!(
        run(&world, &token, &["digest", "az://bucket/d/"])
            .rows()
            .len(),
        NAMES.len() + MANY
    );
    let gone = run(&world, &token, &["digest", "az://nobucket/x/"]);
    assert!(gone.failure().contains("no such container"), "{gone:?}");
    let plain = format!("http://{}/{account}/bucket/d/large?{TOKEN}", server.address);
    assert_eq!(run(&world, &vec![], &["digest", &plain]).rows().len(), 1);

    let other = KEY.replace("Eby8", "Abcd");
    let cut = TOKEN.replace("dWXf", "AAAA");
    for credentials in [
        ("AZURE_STORAGE_ACCOUNT_KEY", other.as_str()),
        ("AZURE_STORAGE_SAS_TOKEN", cut.as_str()),
        ("AZURE_SKIP_SIGNATURE", "true"),
    ] {
        let variables = with(&[credentials]);
        for url in ["az://bucket/d/", "az://bucket/d/plain.txt"] {
            let line = refused(&world, &variables, url);
            assert!(
                !line.contains(credentials.1) || credentials.1 == "true",
                "{line}"
            );
        }
    }
    let broken = run(
        &world,
        &with(&[("AZURE_STORAGE_ACCOUNT_KEY", "hunter2 is no key")]),
        &["digest", "az://bucket/d/"],
    );
    assert!(broken.failure().contains("AZURE_"), "{broken:?}");
}
