// Programs of file system calls, run on RocksDB's interface, and what each answers.
//
//   Runner runner(*file_system);
//   Answer answer = runner.run({.kind = Op::Kind::create, .path = "/db/000001.log", .slot = 0});
//
// The bytes of an append follow from its number, so that a program needs no bytes of its own, and
// what is found in the wrong place shows.
#pragma once

#include <rocksdb/file_system.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace once::testing {

struct Op {
  enum class Kind : std::uint8_t {
    // With a file that is being written, in a slot.
    create,
    reopen,  // goes on at the end of `path`, which is no log; makes it if it is missing
    reuse,   // `to` goes, and `path` is written from the start
    append,  // `length` bytes, and flushes, as RocksDB does
    sync,
    close,
    drop,  // lets go without closing
    allocate,
    cut,  // to `length`; of a reopened file
    // Names.
    make_directory,
    make_directory_if_missing,
    remove_directory,
    rename,
    link,
    remove,
    sync_directory,
    // Looking; never changes anything.
    list,
    exists,
    size,
    read,     // all of it, in order
    read_at,  // `length` bytes from `offset` on
    is_directory,
    // The container's own; ok on anything else.
    give_back,
    compact,
    restart,  // closes and opens again
  };

  Kind kind = Kind::list;
  std::string path{};
  std::string to{};
  std::uint64_t length = 0;
  std::uint64_t offset = 0;
  std::size_t slot = 0;

  [[nodiscard]] bool changes_names() const;
  [[nodiscard]] std::string describe() const;
};
inline constexpr std::size_t op_kinds = 25;
inline constexpr std::size_t program_slots = 6;

// What a call answers, as far as RocksDB tells answers apart.
struct Answer {
  enum class Code : std::uint8_t { ok, not_found, path_not_found, no_space, other };
  Code code = Code::ok;
  std::string value{};    // what was found; the same in the model
  std::string message{};  // for people

  [[nodiscard]] bool ok() const { return code == Code::ok; }
  [[nodiscard]] std::string describe() const;
  // Messages apart.
  friend bool operator==(const Answer& a, const Answer& b) {
    return a.code == b.code && a.value == b.value;
  }
};

// What the `serial`-th append of a program appends.
[[nodiscard]] std::string bytes_of(std::uint64_t serial, std::size_t length);

// Whether the container keeps a file of that name as a log.
[[nodiscard]] bool is_log_name(const std::string& path);

// Not thread-safe.
class Runner {
 public:
  // `root` goes before every path of the program.
  explicit Runner(std::shared_ptr<rocksdb::FileSystem> file_system, std::string root = "",
                  std::uint64_t serial = 0)
      : file_system_(std::move(file_system)), root_(std::move(root)), serial_(serial) {}

  Answer run(const Op& op);
  // What to do for give_back, compact and restart; the default does nothing.
  std::function<rocksdb::IOStatus(Op::Kind)> container{};
  // Lets go of everything, and goes on with another file system.
  void replace(std::shared_ptr<rocksdb::FileSystem> file_system);
  void let_go();
  [[nodiscard]] rocksdb::FileSystem& file_system() { return *file_system_; }

 private:
  using Slot = std::unique_ptr<rocksdb::FSWritableFile>;
  rocksdb::IOStatus run_writing(const Op& op, Slot& slot);
  rocksdb::IOStatus run_naming(const Op& op);
  rocksdb::IOStatus run_looking(const Op& op, std::string* value);

  std::shared_ptr<rocksdb::FileSystem> file_system_;
  const std::string root_;
  std::array<Slot, program_slots> slots_{};
  std::uint64_t serial_;  // appends so far, failed ones too
};

// All there is below a directory: path -> bytes, or nothing for a directory.
using Tree = std::map<std::string, std::optional<std::string>>;
// Gives the first error.
rocksdb::IOStatus read_tree(rocksdb::FileSystem& file_system, const std::string& root, Tree* tree);
// What tells the files of a tree apart: the names of one file have the same one.
using Identities = std::map<std::string, std::string>;
Identities read_identities(rocksdb::FileSystem& file_system, const Tree& tree);
rocksdb::IOStatus read_whole(rocksdb::FileSystem& file_system, const std::string& path,
                             std::string* bytes);

}  // namespace once::testing
