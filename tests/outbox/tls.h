// Certificates of the test's own making, and a server that shows them.
//
//   const Authority authority("ours");
//   const HttpServer server(answer, authority.issue({"IP:127.0.0.1"}));
//   post_to(server.url("/"), {.ca_file = authority.file()});
#pragma once

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "http_server.h"
#include "support/temporary_directory.h"

namespace once::testing {

// Calls of OpenSSL that must not fail.
template <class T>
T* made(T* pointer) {
  REQUIRE(pointer != nullptr);
  return pointer;
}

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* pointer) const { release(pointer); }
};
template <class T, void (*release)(T*)>
using Owned = std::unique_ptr<T, Release<T, release>>;
using PrivateKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;

// A connection that is encrypted, as the server has it.
class TlsChannel final : public HttpChannel {
 public:
  TlsChannel(int connection, Owned<SSL, SSL_free> tls)
      : HttpChannel(connection), tls_(std::move(tls)) {}
  ssize_t read(char* buffer, std::size_t size) override {
    return SSL_read(tls_.get(), buffer, static_cast<int>(size));
  }
  ssize_t send(const std::string& text) override {
    return SSL_write(tls_.get(), text.data(), static_cast<int>(text.size()));
  }

 private:
  const Owned<SSL, SSL_free> tls_;
};

// Issues certificates, as a company does that has its own authority.
class Authority {
 public:
  explicit Authority(const std::string& name)
      : name_(name), key_(new_key()), certificate_(new_certificate(name, *key_, 0, 3600)) {
    add(*certificate_, NID_basic_constraints, "critical,CA:TRUE");
    sign(*certificate_);
    std::FILE* file = made(std::fopen(this->file().c_str(), "w"));
    CHECK(PEM_write_X509(file, certificate_.get()) == 1);
    CHECK(std::fclose(file) == 0);
  }
  // In PEM form.
  [[nodiscard]] std::string file() const { return directory_.file("authority.pem"); }

  // What makes a server show a certificate for `names` ("DNS:localhost", "IP:127.0.0.1"), which is
  // over in so many seconds.
  [[nodiscard]] HttpServer::Wrap issue(const std::string& names, long over_in = 3600) const {
    const PrivateKey key = new_key();
    const Certificate certificate = new_certificate("server", *key, over_in - 7200, over_in);
    add(*certificate, NID_subject_alt_name, names);
    sign(*certificate);
    const std::shared_ptr<SSL_CTX> context(made(SSL_CTX_new(TLS_server_method())), SSL_CTX_free);
    REQUIRE(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
    return [context](int connection) -> std::unique_ptr<HttpChannel> {
      // OpenSSL writes to whoever has gone. Of this thread alone: the client must do without.
      sigset_t pipe;
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      Owned<SSL, SSL_free> tls(SSL_new(context.get()));
      if (!tls || SSL_set_fd(tls.get(), connection) != 1 || SSL_accept(tls.get()) != 1) {
        ERR_clear_error();
        return nullptr;
      }
      return std::make_unique<TlsChannel>(connection, std::move(tls));
    };
  }

 private:
  static PrivateKey new_key() { return PrivateKey(made(EVP_EC_gen("P-256"))); }

  static void set_name(X509_NAME* of, const std::string& name) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
    REQUIRE(X509_NAME_add_entry_by_txt(of, "CN", MBSTRING_UTF8, bytes,
                                       static_cast<int>(name.size()), -1, 0) == 1);
  }

  // Not signed yet. `from` and `until` are seconds from now.
  [[nodiscard]] Certificate new_certificate(const std::string& subject, EVP_PKEY& key, long from,
                                            long until) const {
    static long serial = 0;
    Certificate certificate(made(X509_new()));
    X509* raw = certificate.get();
    REQUIRE(X509_set_version(raw, X509_VERSION_3) == 1);
    REQUIRE(ASN1_INTEGER_set(X509_get_serialNumber(raw), ++serial) == 1);
    made(X509_gmtime_adj(X509_getm_notBefore(raw), from));
    made(X509_gmtime_adj(X509_getm_notAfter(raw), until));
    set_name(X509_get_subject_name(raw), subject);
    set_name(X509_get_issuer_name(raw), name_);
    REQUIRE(X509_set_pubkey(raw, &key) == 1);
    return certificate;
  }
  static void add(X509& certificate, int what, const std::string& value) {
    const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
        made(X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str())));
    REQUIRE(X509_add_ext(&certificate, extension.get(), -1) == 1);
  }
  void sign(X509& certificate) const {
    REQUIRE(X509_sign(&certificate, key_.get(), EVP_sha256()) > 0);
  }

  const std::string name_;
  const TemporaryDirectory directory_{};
  const PrivateKey key_;
  const Certificate certificate_;
};

}  // namespace once::testing
