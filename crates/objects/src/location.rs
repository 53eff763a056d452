//! What a URL names, and how it is shown: without user, password and query, which may be secrets.

use gristmill_ingest::object::shown_name;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use std::path::Path;
use url::Url;

/// Parts of the queries of signed URLs.
const SIGNATURES: [&str; 6] = [
    "sig=",
    "signature=",
    "x-amz-",
    "x-goog-",
    "awsaccesskeyid=",
    "googleaccessid=",
];

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    S3,
    Google,
    Azure,
    Http,
}

impl Kind {
    /// What holds objects in such a store.
    pub fn bucket(self) -> &'static str {
        match self {
            Kind::Azure => "container",
            _ => "bucket",
        }
    }

    /// The variable that sets its clients up, too, and does not begin as the others.
    pub fn bare_variable(self) -> Option<&'static str> {
        match self {
            Kind::Google => Some("SERVICE_ACCOUNT"),
            Kind::Azure => Some("MSI_ENDPOINT"),
            Kind::S3 | Kind::Http => None,
        }
    }

    /// How the variables begin that set its clients up.
    pub fn variables(self) -> &'static str {
        match self {
            Kind::S3 => "AWS_",
            Kind::Google => "GOOGLE_",
            Kind::Azure => "AZURE_",
            Kind::Http => "HTTP",
        }
    }

    /// What lets an endpoint be one of http.
    pub fn allows_http(self) -> &'static str {
        match self {
            Kind::Google => "GOOGLE_ALLOW_HTTP=true",
            Kind::Azure => "AZURE_ALLOW_HTTP=true",
            Kind::S3 | Kind::Http => "AWS_ALLOW_HTTP=true",
        }
    }

    /// The variables that hold credentials for it.
    pub fn credentials(self) -> &'static str {
        match self {
            Kind::S3 => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_SKIP_SIGNATURE=true for public objects",
            Kind::Google => "GOOGLE_APPLICATION_CREDENTIALS; GOOGLE_SKIP_SIGNATURE=true for public objects",
            Kind::Azure => "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; \
                            AZURE_SKIP_SIGNATURE=true for public objects",
            Kind::Http => "a user and password in the URL, or a signed URL",
        }
    }
}

/// What a URL names.
#[derive(Debug)]
pub(crate) enum Location {
    /// A key, or a prefix of keys, in a bucket. The key is as it was written: nothing in it is an escape.
    Key {
        kind: Kind,
        scheme: String,
        bucket: String,
        key: String,
    },
    /// An object of an HTTP server.
    Http(Box<HttpLocation>),
}

/// An object of an HTTP server.
#[derive(Debug)]
pub(crate) struct HttpLocation {
    /// The URL that is asked for, without user and password.
    pub url: Url,
    /// The URL as it is shown.
    pub shown: String,
    /// The user and password, as a header.
    pub authorization: Option<HeaderValue>,
}

impl Location {
    /// What a URL names.
    ///
    /// # Errors
    /// A line without secrets.
    pub fn of(url: &Path) -> Result<Self, String> {
        let Some(text) = url.to_str() else {
            return Err(format!("{}: a URL is UTF-8", shown_name(url).display()));
        };
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "s3" | "s3a" => Kind::S3,
            "gs" => Kind::Google,
            "az" => Kind::Azure,
            _ => return HttpLocation::of(text).map(|http| Self::Http(Box::new(http))),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let scheme = scheme.to_ascii_lowercase();
        if bucket.contains('@') {
            return Err(format!(
                "{scheme}://...: such a URL cannot have a user or password; give credentials by {}",
                kind.credentials()
            ));
        }
        if bucket.is_empty() || bucket.contains(['?', '#', ':']) {
            return Err(format!(
                "{scheme}://...: it names no {}; write {scheme}://NAME/KEY",
                kind.bucket()
            ));
        }
        let query = key
            .split_once('?')
            .map(|(_, query)| query.to_ascii_lowercase());
        if query.is_some_and(|query| SIGNATURES.iter().any(|part| query.contains(part))) {
            return Err(format!(
                "{scheme}://{bucket}/...: a signed URL begins with https://; give that one"
            ));
        }
        Ok(Self::Key {
            kind,
            scheme,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl HttpLocation {
    fn of(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| {
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://...: it is not a URL: {error}")
        })?;
        let authorization = authorization(&url);
        // A URL of this scheme has a host, so that it may have these.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.set_fragment(None);
        let mut shown = url.clone();
        shown.set_query(None);
        Ok(Self {
            shown: shown.into(),
            url,
            authorization,
        })
    }
}

/// The header for the user and password in a URL.
fn authorization(url: &Url) -> Option<HeaderValue> {
    use base64::prelude::{Engine, BASE64_STANDARD};
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Location, String> {
        Location::of(Path::new(url))
    }

    #[test]
    fn buckets_and_keys_are_taken_as_they_are_written() {
        for (url, expected) in [
            ("s3://b/a%20b?c#d/", ("b", "a%20b?c#d/")),
            ("S3A://b", ("b", "")),
            ("gs://b.c/x/y", ("b.c", "x/y")),
        ] {
            match of(url) {
                Ok(Location::Key { bucket, key, .. }) => {
                    assert_eq!((bucket.as_str(), key.as_str()), expected);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = ["s3cr3t", "AKIA"];
        for url in [
            "s3://AKIA:s3cr3t@bucket/key",
            "s3://AKIA:s3cr3t/key",
            "az://c/key?sv=2024&SIG=s3cr3t",
            "https://AKIA:s3cr3t@/",
            "https://AKIA:s3cr3t@[::x/",
        ] {
            let error = of(url).unwrap_err();
            assert!(
                !secrets.iter().any(|secret| error.contains(secret)),
                "{error}"
            );
        }
        let Ok(Location::Http(http)) =
            of("https://AKIA:s3c%3Ar3t@host/a%20b.gz?X-Amz-Signature=s3cr3t#s3cr3t")
        else {
            panic!("an HTTP URL");
        };
        assert_eq!(http.shown, "https://host/a%20b.gz");
        assert_eq!(
            http.url.as_str(),
            "https://host/a%20b.gz?X-Amz-Signature=s3cr3t"
        );
        // "AKIA:s3c:r3t"
        assert_eq!(http.authorization.unwrap(), "Basic QUtJQTpzM2M6cjN0");
    }
    #[test]
    fn user_and_password_are_taken_with_every_byte() {
        use base64::prelude::{Engine, BASE64_STANDARD};
        for (written, bytes) in [
            ("a&b:c&d=e", &b"a&b:c&d=e"[..]),
            ("a%26b:%26%3d%2B%25", b"a&b:&=+%"),
            ("a+b:+c;d", b"a+b:+c;d"),
            ("a:%ff%", b"a:\xff%"),
            ("a", b"a:"),
            (":b", b":b"),
        ] {
            let Ok(Location::Http(http)) = of(&format!("https://{written}@host/")) else {
                panic!("{written}: an HTTP URL");
            };
            let expected = format!("Basic {}", BASE64_STANDARD.encode(bytes));
            assert_eq!(http.authorization.unwrap(), *expected, "{written}");
        }
    }
}
