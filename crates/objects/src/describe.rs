//! Errors in one line, without secrets.
//!
//! What a store or client says is never shown as it came, since it may hold URLs with signatures, or what was signed. It is
//! only looked at for a status, for the short code by which stores name an error, and for what the system says of a
//! connection.

use super::location::Kind;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::GoogleConfigKey;
use std::error::Error;

/// Why an object that changed is not read further.
pub(crate) const CHANGED: &str =
    "the object changed while it was read; run again for it when nobody is writing it";

/// What to do about authorities.
const AUTHORITIES: &str =
    "install the system's certificates (ca-certificates), or set SSL_CERT_FILE to a file with the authority's certificate";

/// What to do about the user of a proxy.
const PROXY_USER: &str =
    "set the right user and password in its variable (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), as http://USER:PASSWORD@HOST:PORT";

/// The longest code of an error that is shown.
const MOST_CODE: usize = 64;

/// Everything that an error and its causes say.
fn said(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        text.push('\n');
        next = error.source();
    }
    text
}

/// The HTTP status of the answer that an error is about.
pub(crate) fn status(error: &object_store::Error) -> Option<u16> {
    status_of(&said(error))
}

fn status_of(said: &str) -> Option<u16> {
    let (_, rest) = said.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The code by which the store names the error, such as `NoSuchBucket`.
fn code(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!code.is_empty() && code.len() <= MOST_CODE && code.bytes().all(plain)).then_some(code)
}

/// What an error wraps. One of the system is not told as a source.
fn cause<'error>(error: &'error (dyn Error + 'static)) -> Option<&'error (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// The last cause of an error that is a client's, and what the system says of it.
fn transport(error: &(dyn Error + 'static)) -> Option<(HttpErrorKind, Option<String>)> {
    let mut found: Option<HttpErrorKind> = None;
    let mut system = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            found = Some(http.kind());
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            // An error that wraps another is told by that one.
            if io.raw_os_error().is_some() || io.get_ref().is_none() {
                system = Some(io.to_string());
            }
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            system = Some(untrusted(tls));
        }
        next = cause(error);
    }
    found.map(|kind| (kind, system))
}

/// An error of TLS, and what to do where the authority of a certificate is not known.
fn untrusted(error: &rustls::Error) -> String {
    let unknown = rustls::CertificateError::UnknownIssuer;
    match error {
        rustls::Error::InvalidCertificate(reason) if *reason == unknown => {
            format!("its certificate is from an unknown authority; {AUTHORITIES}")
        }
        _ => error.to_string(),
    }
}

/// Whether a client was not made because no certificate of an authority was found.
pub(crate) fn lacks_authorities(error: &object_store::Error) -> bool {
    // So says the verifier of certificates, which tells neither places nor reasons.
    said(error).contains("No CA certificates were loaded")
}

/// The variables that say where certificates of authorities are, in the place of the system's.
pub(crate) fn named_authorities() -> Option<String> {
    let names = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter();
    let set = names.filter_map(|name| {
        let place = std::env::var_os(name)?;
        Some(format!("{name}={}", place.display()))
    });
    let set: Vec<String> = set.collect();
    (!set.is_empty()).then(|| set.join(", "))
}

/// Why a client was not set up, if it is for something that is missing.
pub(crate) fn set_up(error: &object_store::Error, kind: Kind) -> Option<String> {
    if let Some(named) = named_authorities().filter(|_| lacks_authorities(error)) {
        return Some(format!(
            "no certificate of an authority was found where {named} points"
        ));
    }
    // These words hold nothing of a value.
    let said = said(error);
    let lacks = |what: &str| said.lines().any(|line| line == what);
    let missing = match kind {
        Kind::S3 if lacks("Missing AccessKeyId") => "AWS_ACCESS_KEY_ID",
        Kind::S3 if lacks("Missing SecretAccessKey") => "AWS_SECRET_ACCESS_KEY",
        Kind::Azure if lacks("Account must be specified") => "AZURE_STORAGE_ACCOUNT_NAME",
        _ => return None,
    };
    Some(format!("its client cannot be set up without {missing}"))
}

/// The file that the client of a kind of store reads without being told, for messages.
pub(crate) fn well_known(kind: Kind) -> &'static str {
    match kind {
        Kind::Google => " and ~/.config/gcloud/application_default_credentials.json",
        _ => "",
    }
}

/// What a variable should hold, where it can be said in a few words.
pub(crate) fn value_of(names: &[&str]) -> &'static str {
    match names {
        ["GOOGLE_SERVICE_ACCOUNT_KEY"] => ", which should be the JSON of a service account's key",
        ["GOOGLE_SERVICE_ACCOUNT"
        | "GOOGLE_SERVICE_ACCOUNT_PATH"
        | "SERVICE_ACCOUNT"
        | "GOOGLE_APPLICATION_CREDENTIALS"] => ", which should name a file with the JSON of a key",
        [name] if name.ends_with("_PROXY_URL") => {
            ", which should be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
        }
        [name] if name.ends_with("_KEY") => ", which should be Base64",
        _ => "",
    }
}

/// Whether the client of a kind of store reads a variable. `key` is its name in small letters. The bucket is the URL's.
fn is_read(kind: Kind, key: &str) -> bool {
    match kind {
        Kind::S3 => key
            .parse()
            .is_ok_and(|key| !matches!(key, AmazonS3ConfigKey::Bucket)),
        Kind::Google => key
            .parse()
            .is_ok_and(|key| !matches!(key, GoogleConfigKey::Bucket)),
        Kind::Azure | Kind::Http => key
            .parse()
            .is_ok_and(|key| !matches!(key, AzureConfigKey::ContainerName)),
    }
}

/// Checks that the value of a variable can be sent: the clients would panic. `key` is its name in small letters. What is
/// a file's name or text is not sent, and a variable that no client reads is another program's.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_value(kind: Kind, key: &str, value: &str) -> Result<(), &'static str> {
    let is_other = !is_read(kind, key)
        || key.ends_with("_file")
        || key.ends_with("_certificate")
        || key.starts_with("google_service_account")
        || key.starts_with("google_application_credentials");
    match value {
        _ if is_other => Ok(()),
        value if !value.is_ascii() => Err("has a character that is not ASCII"),
        value if value.bytes().any(|byte| byte.is_ascii_control()) => {
            Err("has a newline, or another control character")
        }
        _ => Ok(()),
    }
}

/// Whether the next attempt would fail as this one did: where a certificate or a proxy is not as it should be.
pub(crate) fn lasts(error: &HttpError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        next = cause(error);
    }
    proxy(&said(error)).is_some()
}

/// A client's error in words.
pub(crate) fn client(error: &HttpError) -> String {
    if let Some(refusal) = proxy(&said(error)) {
        return refusal;
    }
    let (kind, system) = transport(error).unwrap_or((error.kind(), None));
    of_transport(kind, system)
}

/// Why a proxy makes no connection to a store, if that is what an error and its causes say.
fn proxy(said: &str) -> Option<String> {
    // So says the client of a CONNECT that was answered by a refusal.
    let (_, reason) = said.split_once("tunnel error: ")?;
    if reason.starts_with("proxy authorization required") {
        return Some(format!("the proxy refuses: {PROXY_USER}"));
    }
    let refused =
        "the proxy cannot connect to the store; list hosts that need no proxy in NO_PROXY";
    reason
        .starts_with("unsuccessful")
        .then(|| refused.to_owned())
}

fn of_transport(kind: HttpErrorKind, system: Option<String>) -> String {
    let what = match kind {
        HttpErrorKind::Connect => "cannot connect to the store",
        HttpErrorKind::Timeout => "the store did not respond in time",
        HttpErrorKind::Interrupted | HttpErrorKind::Request => {
            "the connection to the store was broken"
        }
        HttpErrorKind::Decode => "the store's answer is not HTTP",
        _ => "the request failed",
    };
    match system {
        Some(system) => format!("{what}: {system}"),
        None => what.to_owned(),
    }
}

/// A status and a code in words.
pub(crate) fn refused(status: u16, said: &str, kind: Kind) -> String {
    let code = code(said);
    let shown = match code {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    };
    let no_bucket = ["NoSuchBucket", "ContainerNotFound"];
    match (status, code) {
        (404, Some(code)) if no_bucket.contains(&code) => {
            format!("there is no such {}", kind.bucket())
        }
        (404 | 410, _) if kind == Kind::Http => {
            format!("not found (the server answers {shown})")
        }
        (404, _) => "there is no such object".to_owned(),
        (407, _) => format!("the proxy refuses (it answers 407): {PROXY_USER}"),
        (412, _) => CHANGED.to_owned(),
        (400 | 401 | 403, _) => format!(
            "access is refused (the store answers {shown}); check {}",
            kind.credentials()
        ),
        (301 | 307 | 308, _) => format!(
            "the {} is elsewhere (the store answers {shown}); check the region or endpoint",
            kind.bucket()
        ),
        (416, _) => {
            format!("the store refuses a range of it (it answers {shown}), which has changed")
        }
        (429 | 500..=599, _) => {
            format!("the store answers {shown}, again and again; try later")
        }
        _ => format!("the store answers {shown}"),
    }
}

/// An error of a store in words.
pub(crate) fn store(error: &object_store::Error, kind: Kind) -> String {
    let said = said(error);
    // Credentials are asked for from servers of their own, whose status is not the store's.
    if is_about_credentials(&said) {
        return format!("no credentials were found; set {}", kind.credentials());
    }
    if let Some(status) = status_of(&said) {
        return refused(status, &said, kind);
    }
    // So says the client of a URL of http where it may use https alone.
    if said.contains("scheme is not allowed") {
        return format!(
            "the endpoint uses unencrypted http; give one with https, or allow it by {}",
            kind.allows_http()
        );
    }
    if let Some(refusal) = proxy(&said) {
        return refusal;
    }
    if let Some((kind, system)) = transport(error) {
        return of_transport(kind, system);
    }
    match error {
        object_store::Error::NotFound { .. } => refused(404, &said, kind),
        object_store::Error::Precondition { .. } => CHANGED.to_owned(),
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => refused(403, &said, kind),
        object_store::Error::InvalidPath { .. } => {
            "a key has an empty part, or one that is `.` or `..`, which cannot be named".to_owned()
        }
        _ => "the store's response is invalid: a header is missing or wrong".to_owned(),
    }
}

/// Whether an error came from where credentials are asked for.
fn is_about_credentials(said: &str) -> bool {
    let places = [
        "169.254.169.254",
        "169.254.170.2",
        "metadata.google.internal",
        "/latest/api/token",
        "/computeMetadata/",
        "/metadata/identity",
    ];
    places.iter().any(|place| said.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_says_is_shown_by_its_code_alone() {
        let said = "status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><Message>s3cr3t</Message>\
                    <StringToSign>s3cr3t</StringToSign></Error>";
        assert_eq!(status_of(said), Some(403));
        let line = refused(403, said, Kind::S3);
        assert!(line.contains("403 SignatureDoesNotMatch"), "{line}");
        assert!(!line.contains("s3cr3t"), "{line}");
        for code_text in ["a b", "", "<x>", &"x".repeat(65)] {
            assert_eq!(code(&format!("<Code>{code_text}</Code>")), None);
        }
        let gone = refused(404, "<Code>NoSuchBucket</Code>", Kind::S3);
        assert_eq!(gone, "there is no such bucket");
    }
}
