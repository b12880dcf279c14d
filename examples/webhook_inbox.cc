// A shop tells another program of its orders, by HTTP, and each order counts once there, whatever
// fails or dies on the way.
//
//   webhook_inbox send STORE URL ORDER CUSTOMER CENTS   places an order and delivers its event
//   webhook_inbox receive STORE PORT [FAULT]            a web server that adds up what customers
//   spend webhook_inbox spent STORE CUSTOMER                  what it has added up
//
// The sender commits the order and its event together (an outbox), so that there is no order
// without its event and no event without its order, and delivers at least once. The receiver
// commits what an event changes and that it was processed together (an inbox), so that the second
// time does nothing. Each has a store of its own; neither knows the other's.
//
// FAULT is what the receiver does wrong with the first event that it gets:
//
//   unavailable     answers 503
//   before-commit   kills itself while it works on the event
//   after-commit    kills itself before it has answered
//   mid-answer      kills itself in the middle of its answer
//
// Try these, the receiver in a second terminal:
//
//   webhook_inbox send shop.once http://127.0.0.1:8080/ order-1 ann 1250   goes on until it is
//   taken webhook_inbox receive spent.once 8080 mid-answer                       dies webhook_inbox
//   receive spent.once 8080                                  gets it again: seen before
//   webhook_inbox spent spent.once ann                                     1250
#include <arpa/inet.h>
#include <netinet/in.h>
#include <once/json_codec.h>
#include <once/once.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

using namespace std::chrono_literals;
using once::Result;

// What an event of type order.placed says.
struct OrderPlaced {
  std::string order{};
  std::string customer{};
  std::int64_t cents = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OrderPlaced, order, customer, cents)

// What arrives: a CloudEvent (https://cloudevents.io) in its JSON format. It has more members,
// which this receiver does not need.
struct CloudEvent {
  std::string id{};
  std::string type{};
  OrderPlaced data{};
};
void from_json(const nlohmann::json& json, CloudEvent& event) {
  json.at("id").get_to(event.id);
  json.at("type").get_to(event.type);
  json.at("data").get_to(event.data);
}

}  // namespace

template <>
struct once::Codec<OrderPlaced> : once::JsonCodec<OrderPlaced> {};
template <>
struct once::Codec<CloudEvent> : once::JsonCodec<CloudEvent> {};

namespace {

int failed(const once::Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

// ---- The sender ------------------------------------------------------------------------------

// The order and its event in one commit, once for each order.
Result<bool> place(once::Store& store, const OrderPlaced& order) {
  const auto placed =
      store.transact({"shop", "order", order.order}, [&](once::Transaction& tx) -> Result<void> {
        const once::Bytes text = *once::Codec<OrderPlaced>::encode(order);
        if (auto put = tx.put("order/" + order.order, text); !put) return put;
        // Events of one aggregate are delivered in order; here those of one customer.
        return tx.publish({.aggregate_type = "customer",
                           .aggregate_id = order.customer,
                           .type = "order.placed",
                           .payload = text});
      });
  if (!placed) return std::unexpected(placed.error());
  return !placed->replayed();
}

// Delivers until nothing is left. A service would leave once::Relay::start() running instead, whose
// thread is woken by each commit.
Result<void> deliver(once::Store& store, const std::string& url) {
  auto hook = once::webhook_publisher({.url = url, .source = "/shop"});
  if (!hook) return std::unexpected(hook.error());
  auto relay = once::Relay::create(
      store, std::move(*hook),
      {.backoff = {.initial = 50ms, .max = 1s}, .max_retries = 100, .retention = 24h});
  if (!relay) return std::unexpected(relay.error());
  once::Outbox outbox(store);
  while (true) {
    const auto report = (*relay)->deliver_now();
    if (!report) return std::unexpected(report.error());
    auto looked = outbox.unsettled([&](const once::Event& event) {
      if (report->failed + report->dead > 0) {
        std::cout << event.id << " is not delivered yet: " << event.last_error << std::endl;
      }
      return true;
    });
    if (!looked) return looked;
    const auto lag = outbox.lag();
    if (!lag) return std::unexpected(lag.error());
    if (lag->dead > 0) {
      return std::unexpected(once::work_failed(
          "dead",
          "an event was given up on; `once outbox ls` shows it, `once outbox retry` tries "
          "it again"));
    }
    if (lag->pending == 0) return {};
    std::this_thread::sleep_for(20ms);  // when an event is due again, deliver_now() takes it
  }
}

int send(const std::string& path, const std::string& url, const OrderPlaced& order) {
  auto store = once::Store::open(path);
  if (!store) return failed(store.error());
  const auto fresh = place(*store, order);
  if (!fresh) return failed(fresh.error());
  std::cout << order.order << (*fresh ? " is placed" : " was placed before") << std::endl;
  // Also when it was placed before: that process may have died before it had delivered.
  if (const auto done = deliver(*store, url); !done) return failed(done.error());
  std::cout << "everything is delivered\n";
  return 0;
}

// ---- The receiver ----------------------------------------------------------------------------

class Receiver {
 public:
  Receiver(once::Store& store, std::string fault)
      : inbox_(store, "spending"), fault_(std::move(fault)) {}

  // Processes one delivery; returns the status to answer with.
  int take(const std::string& body) {
    if (std::exchange(unavailable_, false)) return 503;  // tried again later
    const auto event = once::Codec<CloudEvent>::decode(body);
    if (!event) return 400;  // never tried again: a dead letter
    if (event->type != "order.placed") return 204;
    const OrderPlaced& order = event->data;
    const once::Bytes question = *once::Codec<OrderPlaced>::encode(order);
    const auto spent =
        inbox_.process(event->id, question, [&](once::Transaction& tx) -> Result<std::int64_t> {
          const std::string row = "spent/" + order.customer;
          const auto before = tx.get(row);
          if (!before) return std::unexpected(before.error());
          const std::int64_t sum = (*before ? std::stoll(**before) : 0) + order.cents;
          if (auto put = tx.put(row, std::to_string(sum)); !put) {
            return std::unexpected(put.error());
          }
          die_at("before-commit");
          return sum;
        });
    if (!spent) {
      failed(spent.error());
      return spent.error().code == once::ErrorCode::mismatch ? 409 : 503;
    }
    die_at("after-commit");
    std::cout << order.order << ": " << order.customer << " has spent " << spent->value()
              << (spent->replayed() ? ", seen before" : "") << std::endl;
    return 204;
  }

  void die_at(std::string_view moment) const {
    if (fault_ == moment) std::raise(SIGKILL);
  }

 private:
  once::Inbox inbox_;
  const std::string fault_;
  bool unavailable_ = fault_ == "unavailable";
};

// The smallest web server that does: one request after the other, each on a connection of its own.
// In a real program this is the web framework that is there already.
class Server {
 public:
  explicit Server(std::uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    address_.sin_port = ::htons(port);
    socklen_t size = sizeof address_;
    auto* any = reinterpret_cast<sockaddr*>(&address_);
    listens_ = ::bind(socket_, any, size) == 0 && ::listen(socket_, 16) == 0 &&
               ::getsockname(socket_, any, &size) == 0;
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { ::close(socket_); }

  [[nodiscard]] bool listens() const { return listens_; }
  [[nodiscard]] int port() const { return ::ntohs(address_.sin_port); }

  void serve(Receiver& receiver) const {
    while (true) {
      const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      const timeval patience{.tv_sec = 10, .tv_usec = 0};
      ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      if (const auto body = read_body(connection)) {
        const int status = receiver.take(*body);
        // One write and then the rest, so that there is a middle to die in.
        say(connection, "HTTP/1.1 " + std::to_string(status));
        receiver.die_at("mid-answer");
        say(connection, " \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      }
      ::close(connection);
    }
  }

 private:
  static constexpr std::size_t longest = std::size_t{2} << 20;

  static void say(int connection, const std::string& text) {
    // Who does not hear the answer delivers again.
    (void)::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
  }

  // Nullopt when no whole request arrives.
  static std::optional<std::string> read_body(int connection) {
    std::string text;
    char buffer[4096];
    while (text.size() < longest) {
      const std::size_t end = text.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::size_t length = length_of(text.substr(0, end));
        if (length > longest) return std::nullopt;
        if (text.size() >= end + 4 + length) return text.substr(end + 4, length);
      }
      const ssize_t got = ::read(connection, buffer, sizeof buffer);
      if (got <= 0) return std::nullopt;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return std::nullopt;
  }

  static std::size_t length_of(const std::string& head) {
    const std::string_view name = "Content-Length: ";
    const std::size_t at = head.find(name);
    std::size_t length = 0;
    if (at == std::string::npos) return length;
    std::from_chars(head.data() + at + name.size(), head.data() + head.size(), length);
    return length;
  }

  int socket_ = -1;
  sockaddr_in address_{};
  bool listens_ = false;
};

int receive(const std::string& path, std::uint16_t port, const std::string& fault) {
  auto store = once::Store::open(path);
  if (!store) return failed(store.error());
  const Server server(port);
  if (!server.listens()) {
    std::cerr << "port " << port << " cannot be listened at\n";
    return 1;
  }
  std::cout << "listening at http://127.0.0.1:" << server.port() << '/' << std::endl;
  Receiver receiver(*store, fault);
  server.serve(receiver);
  return 0;
}

// Looks without being in the receiver's way.
int spent(const std::string& path, const std::string& customer) {
  auto store = once::Store::open(path, {.read_only = true});
  if (!store) return failed(store.error());
  const auto sum = store->data("spent/" + customer);
  if (!sum) return failed(sum.error());
  std::cout << sum->value_or("0") << '\n';
  return 0;
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "send" && argc == 7) {
    return send(argv[2], argv[3],
                {.order = argv[4], .customer = argv[5], .cents = std::stoll(argv[6])});
  }
  if (what == "receive" && (argc == 4 || argc == 5)) {
    return receive(argv[2], static_cast<std::uint16_t>(std::stoul(argv[3])),
                   argc == 5 ? argv[4] : "");
  }
  if (what == "spent" && argc == 4) return spent(argv[2], argv[3]);
  std::cerr << "usage: webhook_inbox send STORE URL ORDER CUSTOMER CENTS\n"
               "       webhook_inbox receive STORE PORT [FAULT]\n"
               "       webhook_inbox spent STORE CUSTOMER\n";
  return 64;
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
