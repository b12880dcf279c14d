// A web server on loopback whose answers, and misdeeds, are the test's.
//
//   HttpServer server([](const HttpRequest& request) { return HttpReply{.status = 503}; });
//   post_to(server.url("/events"));
//   CHECK(server.requests().size() == 1);
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace once::testing {

struct HttpRequest {
  std::string target{};
  std::map<std::string, std::string> headers{};  // names in small letters
  std::string body{};
};

struct HttpReply {
  enum class Manner {
    whole,
    silent,       // reads the request and says nothing until the client gives up
    hang_up,      // closes without a word
    half_a_head,  // dies in the middle of its head
    half_a_body,  // dies in the middle of its body
  };
  int status = 204;
  std::map<std::string, std::string> headers{};
  std::string body{};
  Manner manner = Manner::whole;
};

// What bytes of a connection go through on their way.
class HttpChannel {
 public:
  explicit HttpChannel(int connection) : connection_(connection) {}
  HttpChannel(const HttpChannel&) = delete;
  HttpChannel& operator=(const HttpChannel&) = delete;
  virtual ~HttpChannel() = default;
  // Both as read() and send() of the system.
  virtual ssize_t read(char* buffer, std::size_t size) { return ::read(connection_, buffer, size); }
  virtual ssize_t send(const std::string& text) {
    return ::send(connection_, text.data(), text.size(), MSG_NOSIGNAL);
  }

 private:
  const int connection_;
};

class HttpServer {
 public:
  using Answer = std::function<HttpReply(const HttpRequest&)>;
  // Makes the channel of a connection; null when it does not come about.
  using Wrap = std::function<std::unique_ptr<HttpChannel>(int connection)>;

  explicit HttpServer(Answer answer, Wrap wrap = {})
      : answer_(std::move(answer)), wrap_(std::move(wrap)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(listener_ >= 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_, any, size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    REQUIRE(::getsockname(listener_, any, &size) == 0);
    port_ = ::ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    {
      MutexLock lock(mutex_);
      for (const int connection : connections_) ::shutdown(connection, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(const std::string& path,
                                const std::string& host = "127.0.0.1") const {
    return (wrap_ ? "https://" : "http://") + host + ":" + std::to_string(port_) + path;
  }
  [[nodiscard]] std::vector<HttpRequest> requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    for (;;) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      {
        MutexLock lock(mutex_);
        connections_.push_back(connection);
      }
      threads_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    {
      const auto channel = wrap_ ? wrap_(connection) : std::make_unique<HttpChannel>(connection);
      std::string received;
      HttpRequest request;
      while (channel && read_request(*channel, received, request)) {
        {
          MutexLock lock(mutex_);
          requests_.push_back(request);
        }
        if (!send_reply(*channel, answer_(request))) break;
      }
    }
    MutexLock lock(mutex_);
    std::erase(connections_, connection);
    ::close(connection);
  }

  static bool read_more(HttpChannel& channel, std::string& received) {
    char buffer[65536];
    const ssize_t got = channel.read(buffer, sizeof buffer);
    if (got <= 0) return false;
    received.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  static bool read_request(HttpChannel& channel, std::string& received, HttpRequest& request) {
    std::size_t end = 0;
    while ((end = received.find("\r\n\r\n")) == std::string::npos) {
      // No HTTP, and no more of it is waited for.
      if (!received.empty() && (received[0] < 'A' || received[0] > 'Z')) return false;
      if (!read_more(channel, received)) return false;
    }
    request = {};
    const std::string head = received.substr(0, end + 2);
    received.erase(0, end + 4);
    const std::size_t first = head.find(' ');
    request.target = head.substr(first + 1, head.find(' ', first + 1) - first - 1);
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t stop = head.find("\r\n", at);
      const std::size_t colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      const std::size_t value = std::min(head.find_first_not_of(' ', colon + 1), stop);
      request.headers[name] = head.substr(value, stop - value);
      at = stop + 2;
    }
    const auto length = static_cast<std::size_t>(std::stoul(request.headers["content-length"]));
    while (received.size() < length) {
      if (!read_more(channel, received)) return false;
    }
    request.body = received.substr(0, length);
    received.erase(0, length);
    return true;
  }

  // False when the connection is over.
  static bool send_reply(HttpChannel& channel, const HttpReply& reply) {
    using Manner = HttpReply::Manner;
    if (reply.manner == Manner::silent) {
      std::string ignored;
      while (read_more(channel, ignored)) {
      }
      return false;
    }
    if (reply.manner == Manner::hang_up) return false;
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " Answer\r\n";
    for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
    if (reply.manner == Manner::half_a_head) text += "Content-Le";
    if (reply.manner != Manner::half_a_head) {
      text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n\r\n";
      text += reply.manner == Manner::half_a_body ? reply.body.substr(0, reply.body.size() / 2)
                                                  : reply.body;
    }
    if (channel.send(text) < 0) return false;
    return reply.manner == Manner::whole;
  }

  const Answer answer_;
  const Wrap wrap_;
  int listener_ = -1;
  int port_ = 0;
  std::thread accepting_;
  std::list<std::thread> threads_;  // of accepting_, until that has ended
  mutable Mutex mutex_;
  std::vector<int> connections_ ONCE_GUARDED_BY(mutex_);
  std::vector<HttpRequest> requests_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::testing
