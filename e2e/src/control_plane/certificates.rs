//! The keys of one control plane: an authority of its own, so that clients verify
//! the server as they would a real one, and the key that signs service-account tokens.

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::servers::API_SERVICE;

/// PEM texts, as the API server's flags want them in files.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) server_certificate: String,
    pub(super) server_key: String,
    pub(super) token_signing_key: String,
    pub(super) token_verifying_key: String,
}

impl Certificates {
    /// The certificate is valid for loopback and for the address that Pods use, whatever the port: a proxy in
    /// front of the server needs no certificate of its own.
    pub(super) fn generate() -> Result<Self> {
        let (authority, issuer) = authority().context("making a certificate authority")?;
        let server_key = KeyPair::generate()?;
        let mut server =
            CertificateParams::new(["127.0.0.1", "localhost", &API_SERVICE.to_string()].map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.use_authority_key_identifier_extension = true;
        server.key_usages.push(KeyUsagePurpose::DigitalSignature);
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let certificate =
            server.signed_by(&server_key, &issuer).context("signing the server's certificate")?;

        let token_key = KeyPair::generate()?;
        Ok(Self {
            authority,
            server_certificate: certificate.pem(),
            server_key: server_key.serialize_pem(),
            token_signing_key: token_key.serialize_pem(),
            token_verifying_key: token_key.public_key_pem(),
        })
    }
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, "leasehold end-to-end tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.extend([KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}
