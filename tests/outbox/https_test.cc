// The webhook over TLS, against a server on loopback with certificates that the test has made.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "once/webhook.h"
#include "relay_world.h"
#include "tls.h"

using namespace once;
using namespace once::testing;

namespace {

HttpReply fine(const HttpRequest&) {
  return {};
}

Result<void> post(WebhookOptions options) {
  // Nothing between us and the server.
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    ::unsetenv(name);
  }
  options.timeout = 20s;
  return value_of(webhook_publisher(options))->publish(event("e1", "9", "{}"));
}

// Not sent, and worth another try: it may be mended.
void refused(const HttpServer& server, const Result<void>& posted, const std::string& why) {
  CHECK(error_of(posted) == ErrorCode::work_retryable);
  CAPTURE(posted.error().message);
  CHECK(posted.error().message.find(why) != std::string::npos);
  CHECK(server.requests().empty());
}

}  // namespace

TEST_CASE("a certificate of an authority that is trusted, for this host, is accepted") {
  const Authority ours("ours");
  const HttpServer by_address(fine, ours.issue("IP:127.0.0.1"));
  const std::string url = by_address.url("/events");
  CHECK(url.starts_with("https://127.0.0.1:"));
  value_of(post({.url = url, .headers = {{"Authorization", "s3cret"}}, .ca_file = ours.file()}));
  REQUIRE(by_address.requests().size() == 1);
  CHECK(by_address.requests()[0].target == "/events");
  CHECK(by_address.requests()[0].headers.at("authorization") == "s3cret");
  CHECK(by_address.requests()[0].body.find("\"id\":\"e1\"") != std::string::npos);

  const HttpServer by_name(fine, ours.issue("DNS:localhost"));
  value_of(post({.url = by_name.url("/", "localhost"), .ca_file = ours.file()}));
  CHECK(by_name.requests().size() == 1);
}

TEST_CASE("a connection over TLS is kept, and one that broke is made anew") {
  const Authority ours("ours");
  int count = 0;
  const HttpServer server(
      [&](const HttpRequest&) {
        return HttpReply{
            .status = 200,
            .body = "both halves",
            .manner = ++count == 2 ? HttpReply::Manner::half_a_body : HttpReply::Manner::whole};
      },
      ours.issue("IP:127.0.0.1"));
  const auto to =
      value_of(webhook_publisher({.url = server.url("/"), .timeout = 20s, .ca_file = ours.file()}));
  CHECK(to->publish(event("e1", "9")));
  CHECK(error_of(to->publish(event("e2", "9"))) == ErrorCode::work_retryable);
  CHECK(to->publish(event("e3", "9")));
  CHECK(to->publish(event("e4", "9")));
}

TEST_CASE("a certificate of another authority is refused, and nothing is sent") {
  const Authority ours("ours");
  const Authority others("others");
  const HttpServer server(fine, others.issue("IP:127.0.0.1"));
  refused(server, post({.url = server.url("/"), .ca_file = ours.file()}), "certificate");
  // Nor does the system know of it.
  refused(server, post({.url = server.url("/")}), "certificate");
  // Who calls itself the same is not the same.
  const Authority false_ones("ours");
  const HttpServer posing(fine, false_ones.issue("IP:127.0.0.1"));
  refused(posing, post({.url = posing.url("/"), .ca_file = ours.file()}), "failed");
}

TEST_CASE("a certificate for another host is refused, and nothing is sent") {
  const Authority ours("ours");
  const HttpServer server(fine, ours.issue("DNS:shop.example,DNS:localhost,IP:127.0.0.2"));
  refused(server, post({.url = server.url("/"), .ca_file = ours.file()}), "127.0.0.1");
  value_of(post({.url = server.url("/", "localhost"), .ca_file = ours.file()}));
  const HttpServer named(fine, ours.issue("DNS:shop.example,IP:127.0.0.1"));
  refused(named, post({.url = named.url("/", "localhost"), .ca_file = ours.file()}), "localhost");
}

TEST_CASE("a certificate that is over is refused, and nothing is sent") {
  const Authority ours("ours");
  const HttpServer server(fine, ours.issue("IP:127.0.0.1", -60));
  refused(server, post({.url = server.url("/"), .ca_file = ours.file()}), "expired");
}

TEST_CASE("a server that speaks no TLS is refused, and nothing is sent in the clear") {
  const HttpServer server(fine);
  const auto posted = post({.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/",
                            .headers = {{"Authorization", "s3cret"}}});
  CHECK(error_of(posted) == ErrorCode::work_retryable);
  CHECK(server.requests().empty());
}

TEST_CASE("a redirect from https to http is another host, and not followed") {
  const Authority ours("ours");
  const HttpServer plain(fine);
  const HttpServer server(
      [&](const HttpRequest&) {
        return HttpReply{.status = 307, .headers = {{"Location", plain.url("/")}}};
      },
      ours.issue("IP:127.0.0.1"));
  CHECK(error_of(post({.url = server.url("/"), .ca_file = ours.file()})) ==
        ErrorCode::work_retryable);
  CHECK(plain.requests().empty());
}

TEST_CASE("a ca_file that is not there, or has no certificate, is refused at once") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("ca.pem");
  const auto refused_with = [&](const std::string& why) {
    const auto made = webhook_publisher({.url = "https://x/", .ca_file = path});
    CHECK(error_of(made) == ErrorCode::invalid_argument);
    CHECK(made.error().message.find(why) != std::string::npos);
  };
  refused_with("cannot be opened");
  std::ofstream(path) << "no certificate";
  refused_with("has no certificate");
}
