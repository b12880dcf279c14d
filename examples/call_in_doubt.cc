// Calls a payment service by HTTP and is killed in the middle of the call. Nobody knows then
// whether the card was charged: the key is in doubt. The next run asks the service, and goes by
// what it says.
//
//   call_in_doubt STORE URL ORDER CENTS [asking|answered]
//
// With `asking` it kills itself when the connection is there and the service has not heard yet what
// is asked; with `answered` when the service has charged and its answer arrives. Try these:
//
//   python3 examples/payment_service.py 8080 &
//   call_in_doubt pay.once http://127.0.0.1:8080 order-1 1250 answered
//   call_in_doubt pay.once http://127.0.0.1:8080 order-1 1250    finds the receipt, calls nobody
//   call_in_doubt pay.once http://127.0.0.1:8080 order-2 500 asking
//   call_in_doubt pay.once http://127.0.0.1:8080 order-2 500     it has not happened: calls again
//
// Where no program can find out, a person does, and tells the store with the tool:
//
//   once ls pay.once --status in-doubt
//   echo receipt-7 | once resolve pay.once shop/charge/order-1 --as success --value -
//   once resolve pay.once shop/charge/order-2 --as rerun
#include <curl/curl.h>
#include <once/once.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <string>

namespace {

using namespace std::chrono_literals;
using once::Bytes;
using once::Result;

// ---- A little HTTP client --------------------------------------------------------------------

struct Answer {
  CURLcode way = CURLE_OK;  // what went wrong on the way
  long status = 0;
  std::string body{};
};

struct Call {
  std::string method{};
  std::string url{};
  std::string token{};
  std::string body{};
  std::string die{};
};

// What is under way: what libcurl's callbacks get to see.
struct Exchange {
  const Call& call;
  std::size_t sent = 0;
  std::string received{};
};

std::size_t send_body(char* to, std::size_t size, std::size_t count, void* exchange_pointer) {
  auto& exchange = *static_cast<Exchange*>(exchange_pointer);
  if (exchange.call.die == "asking") std::raise(SIGKILL);
  const std::size_t bytes = exchange.call.body.copy(to, size * count, exchange.sent);
  exchange.sent += bytes;
  return bytes;
}

std::size_t receive_head(const char*, std::size_t size, std::size_t count, void* exchange_pointer) {
  if (static_cast<Exchange*>(exchange_pointer)->call.die == "answered") std::raise(SIGKILL);
  return size * count;
}

std::size_t receive_body(const char* from, std::size_t size, std::size_t count,
                         void* exchange_pointer) {
  static_cast<Exchange*>(exchange_pointer)->received.append(from, size * count);
  return size * count;
}

Answer send(const Call& call) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  if (curl == nullptr) return {.way = CURLE_FAILED_INIT};
  const std::string token = "Once-Token: " + call.token;
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, token.c_str()), curl_slist_free_all);
  Exchange exchange{.call = call};
  curl_easy_setopt(curl.get(), CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 10L);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  if (!call.body.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_POST, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_READFUNCTION, send_body);
    curl_easy_setopt(curl.get(), CURLOPT_READDATA, &exchange);
  }
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, call.method.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, receive_head);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, receive_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &exchange);
  Answer answer{.way = curl_easy_perform(curl.get())};
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  answer.body = std::move(exchange.received);
  return answer;
}

// ---- The payment service ---------------------------------------------------------------------

class PaymentService {
 public:
  PaymentService(std::string url, std::string die) : url_(std::move(url)), die_(std::move(die)) {}

  // Asks for a charge, under the name of this attempt's token. Says of a failure what it means.
  [[nodiscard]] Result<Bytes> charge(const std::string& what, once::Token token) const {
    const Answer answer = send({.method = "POST",
                                .url = url_ + "/charges",
                                .token = std::to_string(token.value),
                                .body = what,
                                .die = die_});
    if (answer.way == CURLE_COULDNT_RESOLVE_HOST || answer.way == CURLE_COULDNT_CONNECT) {
      return std::unexpected(once::work_not_started("the service cannot be reached"));
    }
    if (answer.way == CURLE_OK && answer.status == 201) return answer.body;
    if (answer.way == CURLE_OK && answer.status >= 400 && answer.status < 500) {
      return std::unexpected(once::work_failed("refused", answer.body));
    }
    // A time limit, a connection that broke, an answer that is none: it may have charged.
    return std::unexpected(once::work_unknown("the service gave no answer that tells"));
  }

  // What became of the attempt with this token. It is asked for and closed in one: were it only
  // asked for, a request that is still on its way could arrive after the answer "no" and charge
  // beside the next attempt. A service that cannot close a call leaves nothing but to wait here for
  // as long as a request can be on its way.
  [[nodiscard]] once::Resolution what_became_of(once::Token token) const {
    const Answer answer =
        send({.method = "DELETE", .url = url_ + "/calls/" + std::to_string(token.value)});
    if (answer.way == CURLE_OK && answer.status == 200) {
      std::cout << "in doubt: the service says that it has charged\n";
      return once::Resolution::success(answer.body);
    }
    if (answer.way == CURLE_OK && answer.status == 204) {
      std::cout << "in doubt: the service has not charged, and will not\n";
      return once::Resolution::rerun();
    }
    std::cout << "in doubt: the service does not tell\n";
    return once::Resolution::unknown();
  }

 private:
  const std::string url_;
  const std::string die_;
};

// ---- The program -----------------------------------------------------------------------------

int failed(const once::Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

int run(int argc, char** argv) {
  if (argc < 5 || argc > 6) {
    std::cerr << "usage: call_in_doubt STORE URL ORDER CENTS [asking|answered]\n";
    return 64;
  }
  auto store = once::Store::open(argv[1]);
  if (!store) return failed(store.error());
  const PaymentService service(argv[2], argc == 6 ? argv[5] : "");
  const std::string what = argv[3] + std::string(" ") + argv[4];

  // A reservation that is abandoned turns in doubt (OnAbandon::in_doubt, which is the default): for
  // an effect that must not happen twice. The owner's death is noticed at once, not when its lease
  // lapses. Then the resolver is asked, by one caller at a time.
  once::Executor executor(*store, {.resolver = [&](const once::Key&, const once::Record& record) {
    return service.what_became_of(record.token);
  }});
  const auto charged = executor.execute(
      {"shop", "charge", argv[3]},
      [&](const once::Reservation& mine) { return service.charge(what, mine.token); },
      {.retention = 30 * 24h, .fingerprint = once::Fingerprint::of(what)});
  if (!charged) return failed(charged.error());
  std::cout << (charged->replayed() ? "charged before: " : "charged: ") << charged->value() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
