// The webhook against a real server on loopback that fails in every way it can.
#include "once/webhook.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <future>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "http_server.h"
#include "outbox/webhook/signature.h"
#include "relay_world.h"

using namespace once;
using namespace once::testing;
using Manner = HttpReply::Manner;

namespace {

Event sample() {
  Event sent = event("e1", "9", R"({"total": 1.50})");
  sent.sequence = 7;
  sent.created_at = Time(std::chrono::milliseconds(1'700'000'000'123));
  return sent;
}

std::unique_ptr<Publisher> hook(WebhookOptions options) {
  // Nothing between us and the server.
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  if (options.timeout == WebhookOptions{}.timeout) options.timeout = 20s;
  return value_of(webhook_publisher(options));
}

// What one delivery to a server with this answer gives.
Result<void> answered(const HttpReply& reply, Duration timeout = 20s) {
  const HttpServer server([&](const HttpRequest&) { return reply; });
  return hook({.url = server.url("/"), .timeout = timeout})->publish(sample());
}

}  // namespace

TEST_CASE("structured mode: all of the event is JSON in the body") {
  const HttpServer server([](const HttpRequest&) { return HttpReply{}; });
  Event sent = sample();
  sent.headers = {{"traceparent", "00-1"}, {"X-Id", "7"}, {"id", "other"}, {"empty", ""}};
  sent.metadata = {{"secret", "stays"}};
  value_of(hook({.url = server.url("/events?key=1"), .source = "//shop"})->publish(sent));
  REQUIRE(server.requests().size() == 1);
  const HttpRequest request = server.requests()[0];
  CHECK(request.target == "/events?key=1");
  CHECK(request.headers.at("content-type") == "application/cloudevents+json; charset=utf-8");
  CHECK(request.body.find("1.50") != std::string::npos);  // as it was spelled
  const auto json = nlohmann::json::parse(request.body);
  const nlohmann::json want = {{"specversion", "1.0"},
                               {"id", "e1"},
                               {"source", "//shop"},
                               {"type", "order.changed"},
                               {"subject", "9"},
                               {"time", "2023-11-14T22:13:20.123Z"},
                               {"aggregatetype", "order"},
                               {"aggregateid", "9"},
                               {"sequence", "00000000000000000007"},
                               {"traceparent", "00-1"},
                               {"xid", "7"},
                               {"xxid", "other"},
                               {"datacontenttype", "application/json"},
                               {"data", {{"total", 1.5}}}};
  CHECK(json == want);
}

TEST_CASE("binary mode: the payload is the body, the rest are headers") {
  const HttpServer server([](const HttpRequest&) { return HttpReply{}; });
  Event sent = sample();
  sent.payload = Bytes("\0\xff", 2);
  sent.aggregate_id = "a \"b\"%\xc3\xa4\r\nHost: evil";
  sent.headers = {{"Content-Type", "image/x"}, {"h", "a b"}};
  value_of(hook({.url = server.url("/"), .mode = CloudEventMode::binary})->publish(sent));
  const HttpRequest request = server.requests().at(0);
  CHECK(request.body == sent.payload);
  CHECK(request.headers.at("content-type") == "image/x");
  CHECK(request.headers.at("ce-id") == "e1");
  CHECK(request.headers.at("ce-specversion") == "1.0");
  CHECK(request.headers.at("ce-source") == "/once");
  CHECK(request.headers.at("ce-h") == "a%20b");
  CHECK(request.headers.at("host") == "127.0.0.1:" + std::to_string(server.port()));
  // What is no text is encoded twice: as a value, and as a header.
  CHECK(request.headers.at("ce-aggregateid").find("evil") != std::string::npos);
  CHECK(request.headers.at("ce-aggregateid").find(' ') == std::string::npos);
}

TEST_CASE("payloads: JSON stays JSON however deep, text is text, bytes are base64") {
  const HttpServer server([](const HttpRequest&) { return HttpReply{}; });
  const auto to = hook({.url = server.url("/")});
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  const std::vector<std::pair<Bytes, std::string>> payloads = {
      {"plain", R"("data":"plain")"},
      {Bytes("\xff", 1), R"("data_base64":"/w==")"},
      {"[1,\r\n2]", "\"data\":[1,  2]"},
      {deep, "\"data\":" + deep},
      {Bytes("[1]\0[", 5), R"("data":"[1]\u0000[")"},
      {"\xef\xbb\xbf[1]", "\"data\":\"\xef\xbb\xbf[1]\""},
      {"{\"a\":", R"("data":"{\"a\":")"},
  };
  for (const auto& [payload, want] : payloads) {
    Event sent = sample();
    sent.payload = payload;
    value_of(to->publish(sent));
    const std::string body = server.requests().back().body;
    CHECK(body.find(want) != std::string::npos);
    CHECK(body.find('\n') == std::string::npos);
  }
  Event empty = sample();
  empty.payload.clear();
  value_of(to->publish(empty));
  CHECK_FALSE(nlohmann::json::parse(server.requests().back().body).contains("data"));
  // Says JSON and is none.
  Event wrong = sample();
  wrong.headers = {{"content-type", "application/json"}};
  wrong.payload = "{";
  value_of(to->publish(wrong));
  CHECK(nlohmann::json::parse(server.requests().back().body).at("data_base64") == "ew==");
}

TEST_CASE("what a status says of an event") {
  for (const int status : {200, 201, 202, 204}) CHECK(answered({.status = status}));
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    CHECK(error_of(answered({.status = status})) == ErrorCode::work_retryable);
  }
  for (const int status : {400, 401, 404, 409, 410, 413, 422}) {
    const auto result = answered({.status = status, .body = "no \x1b such thing"});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::work_failed);
    CHECK(result.error().failure_code == std::to_string(status));
    CHECK(result.error().message.find("no . such thing") != std::string::npos);
  }
}

TEST_CASE("everything that goes wrong on the way is tried again") {
  for (const Manner manner : {Manner::hang_up, Manner::half_a_head, Manner::half_a_body}) {
    CAPTURE(static_cast<int>(manner));
    CHECK(error_of(answered({.status = 200, .body = "half of this", .manner = manner})) ==
          ErrorCode::work_retryable);
  }
  CHECK(error_of(answered({.manner = Manner::silent}, 200ms)) == ErrorCode::work_retryable);
  int port = 0;
  {
    const HttpServer gone([](const HttpRequest&) { return HttpReply{}; });
    port = gone.port();
  }
  const std::string nobody = "http://127.0.0.1:" + std::to_string(port) + "/";
  CHECK(error_of(hook({.url = nobody})->publish(sample())) == ErrorCode::work_retryable);
}

TEST_CASE("a connection that broke does not spoil the next delivery, and a whole one is kept") {
  int count = 0;
  const HttpServer server([&](const HttpRequest&) {
    ++count;
    return HttpReply{.status = 200,
                     .body = "both halves",
                     .manner = count == 2 ? Manner::half_a_body : Manner::whole};
  });
  const auto to = hook({.url = server.url("/")});
  CHECK(to->publish(sample()));
  CHECK_FALSE(to->publish(sample()));
  CHECK(to->publish(sample()));
  CHECK(to->publish(sample()));
}

TEST_CASE("a redirect to another host is refused, and nothing is sent there") {
  const HttpServer other([](const HttpRequest&) { return HttpReply{}; });
  for (const int status : {301, 302, 303, 307, 308}) {
    const HttpServer server([&](const HttpRequest&) {
      return HttpReply{.status = status, .headers = {{"Location", other.url("/stolen?a=1")}}};
    });
    const auto result =
        hook({.url = server.url("/"), .headers = {{"Authorization", "s3cret"}}})->publish(sample());
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::work_retryable);
    CHECK(result.error().message.find("another host") != std::string::npos);
    CHECK(result.error().message.find("s3cret") == std::string::npos);
  }
  CHECK(other.requests().empty());
  // The same place under another name is another host as well.
  const HttpServer server([&](const HttpRequest&) {
    return HttpReply{.status = 307, .headers = {{"Location", "http://localhost:1/"}}};
  });
  CHECK_FALSE(hook({.url = server.url("/")})->publish(sample()));
}

TEST_CASE("a redirect within the host is followed, with the event, and not for ever") {
  const HttpServer server([](const HttpRequest& request) {
    if (request.target == "/new") return HttpReply{};
    if (request.target == "/loop") {
      return HttpReply{.status = 307, .headers = {{"Location", "/loop"}}};
    }
    const int status = request.target == "/get" ? 302 : 308;
    return HttpReply{.status = status, .headers = {{"Location", "/new"}}};
  });
  value_of(hook({.url = server.url("/old")})->publish(sample()));
  REQUIRE(server.requests().size() == 2);
  CHECK(server.requests()[1].body == server.requests()[0].body);
  CHECK(error_of(hook({.url = server.url("/loop")})->publish(sample())) ==
        ErrorCode::work_retryable);
  CHECK(server.requests().size() == 8);
  const auto result = hook({.url = server.url("/get")})->publish(sample());
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("GET") != std::string::npos);
}

TEST_CASE("bad options are refused, and show no secret") {
  const auto refused = [](const WebhookOptions& options) {
    auto made = webhook_publisher(options);
    if (made) return false;
    CHECK(made.error().message.find("s3cret") == std::string::npos);
    return made.error().code == ErrorCode::invalid_argument;
  };
  CHECK(refused({.url = ""}));
  CHECK(refused({.url = "ftp://s3cret@x/"}));
  CHECK(refused({.url = "file:///etc/passwd"}));
  CHECK(refused({.url = "http://"}));
  CHECK(refused({.url = "http://u:s3cret@x:99999/"}));
  CHECK(refused({.url = std::string("http://x/\0", 10)}));
  const std::string ok = "http://x/";
  CHECK(refused({.url = ok, .headers = {{"a b", "s3cret"}}}));
  CHECK(refused({.url = ok, .headers = {{"a", "s3cret\r\nb: c"}}}));
  CHECK(refused({.url = ok, .headers = {{"Host", "s3cret"}}}));
  CHECK(refused({.url = ok, .headers = {{"CE-id", "s3cret"}}}));
  CHECK(refused({.url = ok, .secret = "whsec_s3cret!"}));
  CHECK(refused({.url = ok, .timeout = 0ms}));
  CHECK(refused({.url = ok, .connect_timeout = -1ms}));
}

TEST_CASE("messages show neither user, password nor query") {
  const HttpServer server([](const HttpRequest&) { return HttpReply{.status = 500}; });
  const std::string url =
      "http://u:s3cret@127.0.0.1:" + std::to_string(server.port()) + "/hook?k=s3cret";
  const auto result = hook({.url = url})->publish(sample());
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("/hook") != std::string::npos);
  CHECK(result.error().message.find("s3cret") == std::string::npos);
  CHECK(server.requests()[0].headers.contains("authorization"));
}

TEST_CASE("while the receiver hangs with one event, those of other aggregates are posted") {
  std::promise<void> go_on;
  const std::shared_future<void> gone_on = go_on.get_future().share();
  const HttpServer server([&](const HttpRequest& request) {
    if (nlohmann::json::parse(request.body)["id"] == "slow") gone_on.wait();
    return HttpReply{};
  });
  Store store = value_of(Store::open("memory:"));
  auto relay = value_of(Relay::start(store, hook({.url = server.url("/")})));
  const auto wait_for_delivered = [&](std::size_t count) {
    const Duration deadline = system_clock()->since_boot() + 15s;
    while (relay->status().delivered < count && system_clock()->since_boot() < deadline) {
      std::this_thread::yield();
    }
    CHECK(relay->status().delivered == count);
  };
  value_of(store.publish(event("slow", "slow")));
  for (int i = 0; i < 30; ++i) {
    value_of(store.publish(event(std::to_string(i), std::to_string(i % 3))));
  }
  wait_for_delivered(30);
  CHECK(events_of(store)["slow"].status == EventStatus::pending);
  go_on.set_value();
  wait_for_delivered(31);
}

TEST_CASE("signatures: the golden one, made by another implementation") {
  // python3: base64(hmac.new(b64decode(secret), b"ID.1614265330." + body, sha256).digest())
  const Bytes key = value_of(outbox::signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
  CHECK(key.size() == 24);
  CHECK(outbox::sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})") ==
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  CHECK(value_of(outbox::signing_key("whsec_aGk=")) == "hi");
  CHECK(value_of(outbox::signing_key("plain words")) == "plain words");
  CHECK_FALSE(outbox::signing_key("whsec_"));
}

TEST_CASE(
    "exactly once with an inbox: a receiver that dies in mid-answer sees events twice, and "
    "takes them once") {
  Mutex mutex;
  std::vector<std::string> inbox;  // ids, in the order in which they had their effect
  std::set<std::string> seen;
  int count = 0;
  const HttpServer server([&](const HttpRequest& request) {
    MutexLock lock(mutex);
    const std::string id = nlohmann::json::parse(request.body)["id"];
    if (seen.insert(id).second) inbox.push_back(id);
    constexpr Manner manners[] = {Manner::whole, Manner::half_a_body, Manner::hang_up,
                                  Manner::half_a_head, Manner::whole};
    const Manner manner = manners[count++ % 5];
    return HttpReply{.status = count % 7 == 0 ? 503 : 200, .body = "thank you", .manner = manner};
  });
  const Simulation simulation;
  Store store = simulation.open();
  RelayOptions options;
  options.max_retries = 50;
  auto relay = value_of(Relay::create(store, hook({.url = server.url("/")}), options));
  for (int i = 0; i < 30; ++i) {
    value_of(store.publish(event("e" + std::to_string(i), std::to_string(i % 3))));
  }
  for (int round = 0; value_of(Outbox(store).lag()).pending != 0; ++round) {
    REQUIRE(round < 1000);
    value_of(relay->deliver_now());
    simulation.clock->advance(5min);
  }
  const MutexLock lock(mutex);
  CHECK(inbox.size() == 30);
  CHECK(count > 30);
  for (int aggregate = 0; aggregate < 3; ++aggregate) {
    int last = -1;
    for (const std::string& id : inbox) {
      const int number = std::stoi(id.substr(1));
      if (number % 3 != aggregate) continue;
      CHECK(number > last);
      last = number;
    }
  }
}
