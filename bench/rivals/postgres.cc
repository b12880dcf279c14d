// PostgreSQL: one table, a connection a thread, prepared statements, one statement a commit; a
// server of its own on a Unix socket, with its own settings (fsync on, synchronous_commit on).
#include <endian.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "measure.h"
#include "rivals/postgres_sql.h"
#include "rivals/rival.h"
#include "rivals/server.h"

namespace once::bench {
namespace {

using namespace std::chrono_literals;

class Answer {
 public:
  explicit Answer(PGresult* result) : result_(result) {
    const auto status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      const std::string message = PQresultErrorMessage(result);
      PQclear(result);
      throw std::runtime_error("postgres: " + message);
    }
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { PQclear(result_); }
  int rows() const { return PQntuples(result_); }
  int changed() const { return std::atoi(PQcmdTuples(result_)); }
  std::int64_t number(int row, int column) const {
    check(rows() > row && PQgetlength(result_, row, column) == 8, "no number from postgres");
    std::uint64_t big = 0;
    std::memcpy(&big, PQgetvalue(result_, row, column), 8);
    return static_cast<std::int64_t>(be64toh(big));
  }
  bool null(int row, int column) const { return PQgetisnull(result_, row, column) != 0; }
  std::string bytes(int row, int column) const {
    return {PQgetvalue(result_, row, column),
            static_cast<std::size_t>(PQgetlength(result_, row, column))};
  }

 private:
  PGresult* result_;
};

struct Parameter {
  Parameter(std::int64_t number) : bytes(std::to_string(number)) {}
  Parameter(const std::string& text) : bytes(text) {}
  Parameter(const std::string& data, bool is_binary) : bytes(data), binary(is_binary) {}
  std::string bytes;
  bool binary = false;
};

class Connection {
 public:
  explicit Connection(const std::filesystem::path& folder)
      : connection_(PQconnectdb(("host=" + folder.string() + " user=once dbname=postgres").c_str()),
                    &PQfinish) {}
  [[nodiscard]] bool connected() const { return PQstatus(connection_.get()) == CONNECTION_OK; }

  void run(const char* sql) { const Answer answer(PQexec(connection_.get(), sql)); }
  void prepare() {
    run("SET client_min_messages = warning");
    for (const auto& [name, sql] : prepared) {
      const Answer answer(PQprepare(connection_.get(), name, sql, 0, nullptr));
    }
  }
  Answer ask(const char* name, const std::vector<Parameter>& parameters) {
    std::vector<const char*> values;
    std::vector<int> sizes;
    std::vector<int> formats;
    for (const auto& parameter : parameters) {
      values.push_back(parameter.bytes.c_str());
      sizes.push_back(static_cast<int>(parameter.bytes.size()));
      formats.push_back(parameter.binary ? 1 : 0);
    }
    return Answer(PQexecPrepared(connection_.get(), name, static_cast<int>(values.size()),
                                 values.data(), sizes.data(), formats.data(), 1));
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

std::string array_of(std::span<const std::string> keys) {
  std::string text = "{";
  for (const auto& key : keys) text += (text.size() > 1 ? ",\"" : "\"") + key + "\"";
  return text + "}";
}

class PostgresSession final : public Session {
 public:
  explicit PostgresSession(const std::filesystem::path& folder) : connection_(folder) {
    check(connection_.connected(), "postgres does not answer");
    connection_.prepare();
  }

  void execute(const std::string& key, const std::string& outcome) override {
    const auto token =
        connection_.ask("reserve", {key, lease_end(), retention_end(), owner(), now_ms()});
    check(token.rows() == 1, "a fresh key was taken");
    const auto done =
        connection_.ask("complete", {{outcome, true}, retention_end(), key, token.number(0, 0)});
    check(done.changed() == 1, "fenced");
  }
  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    return static_cast<std::uint64_t>(
        connection_.ask("transact", {key, now_ms(), retention_end(), owner(), {outcome, true}})
            .number(0, 0));
  }
  std::string replay(const std::string& key) override {
    const auto found = connection_.ask("find", {key});
    check(found.rows() == 1 && found.number(0, 0) == 2 && found.number(0, 1) > now_ms(),
          "a finished key is gone");
    return found.bytes(0, 2);
  }
  bool seen(const std::string& key) override { return connection_.ask("find", {key}).rows() > 0; }

  Reserved reserve_many(std::span<const std::string> keys) override {
    const auto answers = connection_.ask(
        "reserve many", {array_of(keys), lease_end(), retention_end(), owner(), now_ms()});
    check(answers.rows() == static_cast<int>(keys.size()), "a batch is not whole");
    Reserved reserved;
    for (int i = 0; i < answers.rows(); ++i) {
      if (answers.number(i, 0) == 1) {
        ++reserved.granted;
      } else {
        check(!answers.null(i, 1), "a fresh key was taken");
        reserved.outcomes.push_back(answers.bytes(i, 1));
      }
    }
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    constexpr char hex[] = "0123456789abcdef";
    std::vector<std::string> names;
    std::vector<std::string> values;
    for (const auto& filled : keys) {
      names.push_back(filled.key);
      std::string value = "\\\\x";
      for (const char byte : filled.outcome) {
        value += hex[static_cast<unsigned char>(byte) >> 4];
        value += hex[static_cast<unsigned char>(byte) & 15];
      }
      values.push_back(std::move(value));
    }
    const auto done = connection_.ask(
        "fill", {array_of(names), now_ms(), expires_at_ms, owner(), array_of(values)});
    check(done.changed() == static_cast<int>(keys.size()), "a fresh key was taken");
  }

  // In steps, so that others get in between.
  void expire() override {
    for (std::string last;;) {
      const auto greatest = connection_.ask("expire", {now_ms(), last});
      if (greatest.null(0, 0)) break;
      last = greatest.bytes(0, 0);
    }
    connection_.run("VACUUM keys");
  }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    const auto done = connection_.ask(
        "publish", {key, now_ms(), retention_end(), owner(), {outcome, true}, {payload, true}});
    check(done.rows() == 1, "a fresh key was taken");
  }
  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    for (std::uint64_t all = 0;;) {
      const auto some = connection_.ask("pending", {std::int64_t{events_in_a_commit}});
      if (some.rows() == 0) return all;
      for (int i = 0; i < some.rows(); ++i) take(some.bytes(i, 1));
      const auto done = connection_.ask("delivered", {now_ms(), some.number(some.rows() - 1, 0)});
      check(done.changed() == some.rows(), "an event went missing");
      all += static_cast<std::uint64_t>(some.rows());
    }
  }

 private:
  Connection connection_;
};

// Debian keeps them apart, by version; the newest first.
std::vector<std::filesystem::path> programs() {
  std::vector<std::filesystem::path> folders;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    folders.push_back(entry.path() / "bin");
  }
  std::ranges::sort(folders, std::greater());
  return folders;
}

std::filesystem::path prepare_folder(const OpenRival& open) {
  const RunAs as = unprivileged("postgres");
  check_socket_path(open.folder / ".s.PGSQL.5432.lock");
  if (!std::filesystem::exists(open.folder / "data")) {
    if (chown(open.folder.c_str(), as.user, as.group) != 0) throw Unable("chown failed");
    run_command({find_program("initdb", programs(), "postgresql"), "-D", open.folder / "data", "-A",
                 "trust", "-U", "once", "-E", "UTF8", "--locale=C"},
                as, open.folder / "log");
  }
  return open.folder;
}

class Postgres final : public Rival {
 public:
  explicit Postgres(const OpenRival& open)
      : folder_(prepare_folder(open)),
        server_({find_program("postgres", programs(), "postgresql"), "-D", folder_ / "data", "-k",
                 folder_, "-c", "listen_addresses=", "-c", "max_connections=400", "-c", "fsync=on",
                 "-c", "synchronous_commit=on"},
                unprivileged("postgres"), folder_ / "log", open.syncs, SIGINT) {
    while (true) {
      Connection connection(folder_);
      if (connection.connected()) {
        connection.run(schema);
        return;
      }
      if (server_.ended()) throw Unable("postgres did not start");
      std::this_thread::sleep_for(5ms);
    }
  }
  std::unique_ptr<Session> session() override { return std::make_unique<PostgresSession>(folder_); }
  std::vector<pid_t> servers() const override { return {server_.process()}; }
  std::uint64_t finished() override {
    Connection connection(folder_);
    connection.prepare();
    return static_cast<std::uint64_t>(connection.ask("finished", {}).number(0, 0));
  }

 private:
  std::filesystem::path folder_;
  Server server_;
};

}  // namespace

std::unique_ptr<Rival> open_postgres(const OpenRival& open) {
  return std::make_unique<Postgres>(open);
}

}  // namespace once::bench
