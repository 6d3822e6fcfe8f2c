#pragma once

#include <string>

// Certificate is a key of this one run and its self-signed certificate for "localhost".
struct Certificate {
  std::string key_pem, certificate_pem;
  std::string certificate_base64;  // DER in base64 without padding, as the handshake line wants it
};

// MakeCertificate makes an ECDSA P-256 key. It throws std::runtime_error when OpenSSL fails.
Certificate MakeCertificate();
