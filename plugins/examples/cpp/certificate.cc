#include "certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace {

template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* p) const { Free(p); }
};
void FreeBio(BIO* b) { BIO_free(b); }

using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO, FreeBio>>;

void Want(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("openssl: ") + what);
}

std::string Contents(BIO* b) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(b, &data);
  return {data, size_t(n)};
}

void Extend(X509* cert, int nid, const char* value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, cert, cert, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION, X509_EXTENSION_free>> e(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value));
  Want(e && X509_add_ext(cert, e.get(), -1) == 1, "extension");
}

}  // namespace

Certificate MakeCertificate() {
  Key key(EVP_EC_gen("P-256"));
  X509Ptr cert(X509_new());
  Want(key && cert, "key");
  uint64_t serial = 0;
  Want(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "random number");
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 10L * 365 * 24 * 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  Extend(cert.get(), NID_subject_alt_name, "DNS:localhost");
  Extend(cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  Extend(cert.get(), NID_key_usage, "critical,digitalSignature,keyCertSign");
  Extend(cert.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  Want(X509_sign(cert.get(), key.get(), EVP_sha256()) > 0, "signature");

  Certificate out;
  Bio bio(BIO_new(BIO_s_mem()));
  Want(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1, "key as PEM");
  out.key_pem = Contents(bio.get());
  bio.reset(BIO_new(BIO_s_mem()));
  Want(PEM_write_bio_X509(bio.get(), cert.get()) == 1, "certificate as PEM");
  out.certificate_pem = Contents(bio.get());
  bio.reset(BIO_new(BIO_s_mem()));
  Want(i2d_X509_bio(bio.get(), cert.get()) == 1, "certificate as DER");
  const std::string der = Contents(bio.get());
  std::vector<unsigned char> text(4 * ((der.size() + 2) / 3) + 1);
  const int n = EVP_EncodeBlock(text.data(), reinterpret_cast<const unsigned char*>(der.data()), int(der.size()));
  out.certificate_base64.assign(text.begin(), text.begin() + n);
  while (!out.certificate_base64.empty() && out.certificate_base64.back() == '=') out.certificate_base64.pop_back();
  return out;
}
