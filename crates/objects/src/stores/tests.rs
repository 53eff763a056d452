//! What clients are set up with, and what is told of variables that are wrong.

use super::*;

/// What the crate `object_store` takes from variables: of each kind of value a few.
const NAMES: [&str; 27] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_TIMEOUT",
    "AWS_PROXY_URL",
    "AWS_PROXY_CA_CERTIFICATE",
    "AWS_USER_AGENT",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BASE_URL",
    "GOOGLE_PROXY_URL",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_AUTHORITY_HOST",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_PROXY_URL",
];

#[test]
fn values_that_are_malformed_are_told_by_their_variable_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    std::fs::write(&file, r#"{"private_key": ["hunter2"], "hunter2": hunter2"#).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let values = [
        "hunter2",
        "hunter2\n",
        "hunter2\u{fc}",
        "http://hunter2:hunter2@[::x",
        "?sig=%ff%hunter2&hunter2",
        r#"{"private_key": "hunter2", "private_key_id": "hunter2", "client_email": "hunter2"}"#,
        r#"{"hunter2": hunter2"#,
        &file,
    ];
    let mut refused = std::collections::BTreeSet::new();
    for name in NAMES {
        let url = match name {
            name if name.starts_with("AWS_") => "s3://bucket/key",
            name if name.starts_with("GOOGLE_") => "gs://bucket/key",
            _ => "az://bucket/key",
        };
        for value in values {
            let mut variables = vec![(name.to_owned(), value.to_owned())];
            if name != "AZURE_STORAGE_ACCOUNT_NAME" {
                variables.push(("AZURE_STORAGE_ACCOUNT_NAME".into(), "account".into()));
            }
            let stores = ObjectStores::with_variables(variables);
            if let Err(told) = stores.open(Path::new(url), Names::Objects) {
                assert!(!told.contains("hunter") && !told.contains('\n'), "{told}");
                assert!(
                    told.contains(name) || told.contains("without AWS_"),
                    "{told}"
                );
                refused.insert(name);
            }
            assert!(!format!("{stores:?}").contains("hunter"));
        }
    }
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_TIMEOUT",
        "AWS_PROXY_URL",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
    ] {
        assert!(refused.contains(name), "{name} takes anything: {refused:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (variable, url, told) in [
        (None, "az://c/k", "AZURE_STORAGE_ACCOUNT_NAME"),
        (
            Some("AWS_ACCESS_KEY_ID"),
            "s3://b/k",
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            Some("AWS_SECRET_ACCESS_KEY"),
            "s3://b/k",
            "AWS_ACCESS_KEY_ID",
        ),
    ] {
        let set = variable.map(|name| (name.to_owned(), "hunter2".to_owned()));
        let stores = ObjectStores::with_variables(set);
        let error = stores.open(Path::new(url), Names::Objects).err().unwrap();
        assert!(
            error.contains(told) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn variables_that_no_client_reads_may_hold_anything() {
    let key = "{\n  \"private_key\": \"k\",\n  \"private_key_id\": \"1\",\n  \"client_email\": \"ü@example.org\",\n  \
               \"disable_oauth\": true\n}\n";
    for (name, value, url) in [
        ("GOOGLE_CREDENTIALS", key, "gs://bucket/key"),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", key, "gs://bucket/key"),
        ("AZURE_CONFIG_DIR", "/home/jürgen/.azure", "az://bucket/key"),
        ("AZURE_CONTAINER_NAME", "jürgen", "az://bucket/key"),
        ("AWS_PROFILE", "jürgen", "s3://bucket/key"),
        ("AWS_CA_BUNDLE", "/home/jürgen/ca.pem", "s3://bucket/key"),
        ("AWS_BUCKET", "jürgen", "s3://bucket/key"),
    ] {
        let account = ("AZURE_STORAGE_ACCOUNT_NAME", "account");
        let set = [(name, value), account].map(|(name, value)| (name.into(), value.into()));
        let opened = ObjectStores::with_variables(set).open(Path::new(url), Names::Objects);
        assert!(opened.is_ok(), "{name}: {:?}", opened.err());
    }
}

#[test]
fn a_variable_without_the_beginning_of_its_kind_is_named_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "hunter2").unwrap();
    let set = ("SERVICE_ACCOUNT", file.path().to_str().unwrap());
    let stores = ObjectStores::with_variables([(set.0.to_owned(), set.1.to_owned())]);
    let opened = stores.open(Path::new("gs://b/k"), Names::Objects);
    let told = opened.err().unwrap();
    assert!(told.contains("the value of SERVICE_ACCOUNT,"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
