//! What lies between the tool and a store: TLS with an authority that the system does not know, and proxies.

use super::peers::{openssl, Peer};
use super::world::{finish, Done, World};
use std::path::PathBuf;

/// An authority, and a server's certificate by it.
struct Authority {
    certificate: PathBuf,
    server: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// An authority whose server has this name, as `IP:127.0.0.1`.
    fn new(world: &World, name: &str) -> Self {
        let path = |file: &str| world.path().join(file);
        let of = |file: &str| path(file).to_str().unwrap().to_owned();
        let new_key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let mut own = vec!["req", "-x509", "-subj", "/CN=An authority of our own"];
        own.extend(new_key);
        let (key, file) = (of("authority.key"), of("authority.pem"));
        own.extend(["-keyout", &key, "-out", &file]);
        openssl(&own);
        let mut server = vec![
            "req",
            "-x509",
            "-CA",
            &file,
            "-CAkey",
            &key,
            "-subj",
            "/CN=server",
        ];
        server.extend(new_key);
        let name = format!("subjectAltName={name}");
        server.extend([
            "-addext",
            &name,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
        let (server_key, server_file) = (of("server.key"), of("server.pem"));
        server.extend(["-keyout", &server_key, "-out", &server_file]);
        openssl(&server);
        Self {
            certificate: file.into(),
            server: server_file.into(),
            key: server_key.into(),
        }
    }
}

/// A server with an object in a bucket, by TLS if there is an authority.
fn served(authority: Option<&str>) -> Option<(World, Peer, Option<Authority>)> {
    let world = World::new();
    let text = b"needle in the hay\n".repeat(1 << 18);
    for name in ["buckets/bucket/d/large", "d/large"] {
        world.put(name, text.clone());
    }
    let authority = authority.map(|name| Authority::new(&world, name));
    let certificate = authority
        .as_ref()
        .map(|authority| (authority.server.as_path(), authority.key.as_path()));
    let server = Peer::google(&world.path().join("buckets"), certificate)?;
    Some((world, server, authority))
}

/// Digests of these places, with these variables.
fn digest(
    world: &World,
    server: &Peer,
    scheme: &str,
    variables: &[(&str, &str)],
    place: &str,
) -> Done {
    let mut tool = world.tool(&["digest", "--chunk-size", "65536", place]);
    tool.env("GOOGLE_BASE_URL", format!("{scheme}://{}", server.address))
        .env("GOOGLE_SKIP_SIGNATURE", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .envs(variables.iter().copied());
    if scheme == "http" {
        tool.env("GOOGLE_ALLOW_HTTP", "true");
    }
    finish(tool)
}

/// Two URLs of the object: by Google's interface, and of an HTTP server.
fn urls(server: &Peer, scheme: &str) -> [String; 2] {
    [
        "gs://bucket/d/large".to_owned(),
        format!("{scheme}://{}/bucket/d/large", server.address),
    ]
}

/// The digest of the object without its name.
fn sum(done: &Done) -> String {
    done.rows()[0].split(' ').next().unwrap().to_owned()
}

#[test]
fn an_authority_that_the_system_does_not_know_is_named_by_a_variable() {
    let Some((world, server, authority)) = served(Some("IP:127.0.0.1")) else {
        return;
    };
    let authority = authority.unwrap().certificate;
    let expected = sum(&world.run(&["digest", "d/large"]));
    let folder = world.path().join("authorities");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&authority, folder.join("own.pem")).unwrap();
    let (file, folder) = (authority.to_str().unwrap(), folder.to_str().unwrap());
    for url in urls(&server, "https") {
        let ask = |variables: &[(&str, &str)]| digest(&world, &server, "https", variables, &url);
        assert_eq!(sum(&ask(&[("SSL_CERT_FILE", file)])), expected);
        assert_eq!(sum(&ask(&[("SSL_CERT_DIR", folder)])), expected);

        let unknown = ask(&[]);
        assert!(unknown.failure().contains("SSL_CERT_FILE"), "{unknown:?}");
        assert!(unknown.failure().contains("certificate"), "{unknown:?}");
        let gone = ask(&[("SSL_CERT_FILE", "/nowhere/own.pem")]);
        assert!(gone.failure().contains("/nowhere/own.pem"), "{gone:?}");
        let empty = ask(&[("SSL_CERT_FILE", "/dev/null")]);
        assert!(empty.failure().contains("SSL_CERT_FILE"), "{empty:?}");
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let Some((world, server, authority)) = served(Some("DNS:store.example.org")) else {
        return;
    };
    let authority = authority.unwrap().certificate;
    let variables = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    for url in urls(&server, "https") {
        let done = digest(&world, &server, "https", &variables, &url);
        assert!(done.failure().contains("not valid for name"), "{done:?}");
    }
}

#[test]
fn proxies_are_asked_unless_a_host_is_excepted() {
    for scheme in ["http", "https"] {
        let authority = (scheme == "https").then_some("IP:127.0.0.1");
        let Some((world, server, authority)) = served(authority) else {
            return;
        };
        let Some(proxy) = Peer::proxy(world.path()) else {
            return;
        };
        let expected = sum(&world.run(&["digest", "d/large"]));
        let authority = authority.map(|authority| authority.certificate);
        let authority = authority.as_ref().map_or("", |path| path.to_str().unwrap());
        let variable = if scheme == "http" {
            "HTTP_PROXY"
        } else {
            "HTTPS_PROXY"
        };
        let right = format!("http://user:hunter2@{}", proxy.address);
        let wrong = format!("http://user:hunter2x@{}", proxy.address);
        for url in urls(&server, scheme) {
            let ask = |variables: &[(&str, &str)]| {
                let mut all = variables.to_vec();
                if scheme == "https" {
                    all.push(("SSL_CERT_FILE", authority));
                }
                digest(&world, &server, scheme, &all, &url)
            };
            for variable in [variable, "ALL_PROXY"] {
                assert_eq!(sum(&ask(&[(variable, &right)])), expected);
                // What the proxy refuses shows that it was asked.
                let refused = ask(&[(variable, &wrong)]);
                assert!(refused.failure().contains("proxy"), "{refused:?}");
                let lists = [
                    "127.0.0.1",
                    "127.0.0.0/8",
                    "example.org, 127.0.0.1",
                    "*",
                    "x, * ",
                ];
                for (list, name) in lists.iter().zip(["NO_PROXY", "no_proxy"].iter().cycle()) {
                    let direct = ask(&[(variable, &wrong), (name, list)]);
                    assert_eq!(sum(&direct), expected, "{name}={list}");
                }
                // Patterns are names, of which `*` alone is all.
                let asked = ask(&[(variable, &wrong), ("NO_PROXY", "127.0.0.*")]);
                assert!(asked.failure().contains("proxy"), "{asked:?}");
            }
            // A proxy of one store has a list of its own.
            if url.starts_with("gs:") {
                let own = ("GOOGLE_PROXY_URL", wrong.as_str());
                assert!(ask(&[own, ("NO_PROXY", "*")]).failure().contains("proxy"));
                assert_eq!(sum(&ask(&[own, ("GOOGLE_PROXY_EXCLUDES", "*")])), expected);
            }
            // The variable for the other scheme is not for this one.
            let other = if scheme == "http" {
                "HTTPS_PROXY"
            } else {
                "HTTP_PROXY"
            };
            assert_eq!(sum(&ask(&[(other, &wrong)])), expected);
        }
    }
}

#[test]
fn a_proxy_that_is_not_there_is_told_without_its_password() {
    let world = World::new();
    for (variable, endpoint) in [("HTTP_PROXY", "http"), ("HTTPS_PROXY", "https")] {
        for proxy in ["127.0.0.1:1", "[::x]"] {
            let mut tool = world.tool(&["digest", "s3://bucket/d/large"]);
            tool.env(variable, format!("http://user:hunter2@{proxy}"))
                .env("AWS_ENDPOINT_URL", format!("{endpoint}://127.0.0.1:1"))
                .env("AWS_MAX_ATTEMPTS", "1");
            let done = finish(tool);
            assert!(done.failure().contains("cannot connect"), "{done:?}");
        }
    }
}

#[test]
fn no_proxy_for_all_hosts_is_not_narrowed_by_the_list_of_a_proxy_that_is_not_set() {
    let world = World::new();
    world.put("d/a", "a needle\n");
    let expected = sum(&world.run(&["digest", "d/a"]));
    let ask = |variables: &[(&str, &str)]| {
        let mut tool = world.tool(&["digest", "s3://bucket/d/a"]);
        tool.env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_PROXY_EXCLUDES", "x")
            .envs(variables.iter().copied());
        finish(tool)
    };
    assert_eq!(sum(&ask(&[("NO_PROXY", "*")])), expected);
    let own = [("NO_PROXY", "*"), ("AWS_PROXY_URL", "http://127.0.0.1:1")];
    for variables in [&own[..], &[]] {
        let asked = ask(variables);
        assert!(asked.failure().contains("cannot connect"), "{asked:?}");
    }
}
