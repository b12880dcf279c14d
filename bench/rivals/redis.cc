// Redis: a hash a key, every change by one Lua script, appendfsync always, so that a change is on
// disk before it is answered. It begins with its own settings but for that.
#include <hiredis/hiredis.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "measure.h"
#include "rivals/redis_script.h"
#include "rivals/rival.h"
#include "rivals/server.h"

namespace once::bench {
namespace {

using namespace std::chrono_literals;

using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

class Connection {
 public:
  explicit Connection(const std::filesystem::path& socket)
      : context_(redisConnectUnix(socket.c_str()), &redisFree) {}
  [[nodiscard]] bool connected() const { return context_ && context_->err == 0; }

  Reply ask(const std::vector<std::string_view>& words) {
    std::vector<const char*> data;
    std::vector<std::size_t> sizes;
    for (const auto& word : words) {
      data.push_back(word.data());
      sizes.push_back(word.size());
    }
    Reply reply(static_cast<redisReply*>(redisCommandArgv(
                    context_.get(), static_cast<int>(words.size()), data.data(), sizes.data())),
                &freeReplyObject);
    if (!reply) throw std::runtime_error(std::string("redis: ") + context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) {
      throw std::runtime_error("redis: " + std::string(reply->str, reply->len));
    }
    return reply;
  }

 private:
  std::unique_ptr<redisContext, decltype(&redisFree)> context_;
};

std::string_view text(const redisReply* reply) {
  return {reply->str, reply->len};
}

class RedisSession final : public Session {
 public:
  RedisSession(const std::filesystem::path& socket, std::string script_id)
      : connection_(socket), script_(std::move(script_id)) {
    check(connection_.connected(), "redis does not answer");
  }

  void execute(const std::string& key, const std::string& outcome) override {
    const auto token = call({key}, {"reserve", now(), lease(), retention(), owner()});
    const auto number = std::to_string(token->integer);
    const auto done = call({key}, {"complete", number, retention(), outcome});
    check(done->integer == 1, "fenced");
  }

  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    const auto count = call({key}, {"transact", now(), retention(), owner(), outcome});
    return static_cast<std::uint64_t>(count->integer);
  }

  std::string replay(const std::string& key) override {
    const auto kept = connection_.ask({"HMGET", key, "status", "outcome"});
    check(kept->elements == 2 && kept->element[0]->type == REDIS_REPLY_STRING &&
              text(kept->element[0]) == "2",
          "a finished key is gone");
    return std::string(text(kept->element[1]));
  }

  bool seen(const std::string& key) override {
    const auto kept = connection_.ask({"HMGET", key, "status", "outcome"});
    return kept->elements == 2 && kept->element[0]->type != REDIS_REPLY_NIL;
  }

  Reserved reserve_many(std::span<const std::string> keys) override {
    const auto answers = call(keys, {"reserve many", now(), lease(), retention(), owner()});
    check(answers->elements == keys.size(), "a batch is not whole");
    Reserved reserved;
    for (std::size_t i = 0; i < answers->elements; ++i) {
      const auto* answer = answers->element[i];
      check(answer->type == REDIS_REPLY_STRING, "a fresh key was taken");
      if (answer->len == 0) {
        ++reserved.granted;
      } else {
        reserved.outcomes.emplace_back(text(answer));
      }
    }
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    std::vector<std::string> names;
    const std::string expires = std::to_string(expires_at_ms);
    const std::string started = now();
    std::vector<std::string_view> arguments = {"fill", started, expires, owner()};
    for (const auto& filled : keys) {
      names.push_back(filled.key);
      arguments.push_back(filled.outcome);
    }
    call_with(names, arguments);
  }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    call({key}, {"publish", now(), retention(), owner(), outcome, payload});
  }

  // Removed only after they were handed over.
  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    const std::string end = std::to_string(events_in_a_commit - 1);
    for (std::uint64_t all = 0;;) {
      const auto some = connection_.ask({"LRANGE", "events", "0", end});
      if (some->elements == 0) return all;
      for (std::size_t i = 0; i < some->elements; ++i) take(text(some->element[i]));
      connection_.ask({"LTRIM", "events", std::to_string(some->elements), "-1"});
      all += some->elements;
    }
  }

 private:
  static std::string now() { return std::to_string(now_ms()); }
  static std::string lease() { return std::to_string(lease_end()); }
  static std::string retention() { return std::to_string(retention_end()); }

  Reply call(std::initializer_list<std::string> keys,
             std::initializer_list<std::string> arguments) {
    return call(std::span(keys.begin(), keys.size()), arguments);
  }
  Reply call(std::span<const std::string> keys, std::initializer_list<std::string> arguments) {
    return call_with(keys, {arguments.begin(), arguments.end()});
  }
  Reply call_with(std::span<const std::string> keys,
                  const std::vector<std::string_view>& arguments) {
    const std::string count = std::to_string(keys.size());
    std::vector<std::string_view> words = {"EVALSHA", script_, count};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    return connection_.ask(words);
  }

  Connection connection_;
  std::string script_;
};

class Redis final : public Rival {
 public:
  explicit Redis(const OpenRival& open)
      : socket_(open.folder / "socket"),
        server_(command(open), unprivileged_or_root(), open.folder / "log", open.syncs, SIGTERM) {
    while (true) {
      Connection connection(socket_);
      if (connection.connected() && ready(connection)) {
        script_ = std::string(text(connection.ask({"SCRIPT", "LOAD", script}).get()));
        return;
      }
      if (server_.ended()) throw Unable("redis-server did not start");
      std::this_thread::sleep_for(1ms);
    }
  }

  std::unique_ptr<Session> session() override {
    return std::make_unique<RedisSession>(socket_, script_);
  }
  std::vector<pid_t> servers() const override { return {server_.process()}; }
  bool expires() const override { return false; }  // only in its own time
  std::uint64_t finished() override {
    Connection connection(socket_);
    std::uint64_t count = 0;
    std::string cursor = "0";
    do {
      const auto some = connection.ask({"EVAL", counting, "0", cursor});
      cursor = std::string(text(some->element[0]));
      count += static_cast<std::uint64_t>(some->element[1]->integer);
    } while (cursor != "0");
    return count;
  }

 private:
  static RunAs unprivileged_or_root() { return {geteuid(), getegid()}; }
  static std::vector<std::string> command(const OpenRival& open) {
    check_socket_path(open.folder / "socket");
    return {find_program("redis-server", {"/usr/bin"}, "redis-server"),
            "--port",
            "0",
            "--unixsocket",
            open.folder / "socket",
            "--dir",
            open.folder,
            "--daemonize",
            "no",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            ""};
  }
  static bool ready(Connection& connection) {
    try {
      return text(connection.ask({"PING"}).get()) == "PONG";
    } catch (const std::exception&) {
      return false;  // it is still reading its file
    }
  }

  std::filesystem::path socket_;
  Server server_;
  std::string script_;
};

}  // namespace

std::unique_ptr<Rival> open_redis(const OpenRival& open) {
  return std::make_unique<Redis>(open);
}

}  // namespace once::bench
