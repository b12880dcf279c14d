// The table of files: names, what they are of, and where their bytes lie.
//
// It changes only by records, which are what the journal's frames are made of; so what is in memory
// and what a later opening makes of the journal is the same by construction. A snapshot is the
// records that make the table from nothing.
//
//   record             bytes (integers little-endian; text is 4 bytes of length, then that many)
//   1 make directory   text path
//   2 remove directory text path; it is empty
//   3 create           u64 id, u8 1 = log, i64 time, text path; a file of that name loses it
//   4 remove           text path
//   5 rename           text from, text to; a file, or a directory with all in it
//   6 extend           u64 id, u64 offset, u64 length: one more extent
//   7 size             u64 id, u64 size, u64 XXH3 of all, u64 XXH3 of the last 4,096 bytes, i64
//   time;
//                      of a log: how many bytes it has at least, digests 0
//   8 extents          u64 id, u32 n, n times u64 offset, u64 length: instead of those before
//   9 link             text existing, text new
//
// Invariants: paths are absolute and normal ("/a/b"), parents exist, ids are never used twice; a
// file that has lost its last name is gone.
// Fault model: a record may hold any bytes; what cannot be is `damaged`, and nothing is applied
// after it. Whether extents overlap is the allocator's to say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "container/layout.h"
#include "once/bytes.h"
#include "once/error.h"

namespace once::container {

class File;

// What is checked of a file before it is handed out.
struct Seal {
  std::uint64_t size = 0;
  std::uint64_t digest = 0;
  std::uint64_t tail_digest = 0;
  friend bool operator==(const Seal&, const Seal&) = default;
};

// Where files are found whose making and name are lost; see apply_what_can_be().
inline constexpr std::string_view nameless_directory = "/nameless";

// A file in more pieces than this cannot be: whoever adds some has to look before it is journaled.
inline constexpr std::size_t most_file_extents = 4096;

struct Entry {
  std::uint64_t id = 0;
  bool log = false;
  SharedExtents extents = std::make_shared<const Extents>();
  Seal seal{};
  std::int64_t modified_ms = 0;
  std::uint32_t links = 0;
  std::shared_ptr<File> file{};  // its live side
};

// Makes the payload of a frame.
class Records {
 public:
  Records& make_directory(std::string_view path);
  Records& remove_directory(std::string_view path);
  Records& create(std::uint64_t id, bool log, std::int64_t time_ms, std::string_view path);
  Records& remove(std::string_view path);
  Records& rename(std::string_view from, std::string_view to);
  Records& extend(std::uint64_t id, const Extent& extent);
  Records& size(std::uint64_t id, const Seal& seal, std::int64_t time_ms);
  Records& extents(std::uint64_t id, const Extents& extents);
  Records& link(std::string_view existing, std::string_view added);
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

// "/a//b/" as "/a/b"; empty if it is no path that can be kept.
[[nodiscard]] std::string normal_path(std::string_view path);
[[nodiscard]] std::string_view parent_of(std::string_view path);

// Used under the container's mutex.
class FileTable {
 public:
  // What a change let go of: files without a name, and extents that were replaced.
  struct Gone {
    std::vector<Entry> files{};
    std::vector<SharedExtents> extents{};
  };

  // Errors: damaged.
  Result<void> apply(std::string_view records, Gone* gone);

  // What apply_what_can_be() met.
  struct Leniency {
    std::uint64_t skipped = 0;             // records
    std::vector<std::uint64_t> created{};  // ids
    std::vector<std::string> not_there{};  // paths that were to be removed
    bool stopped = false;                  // the rest could not even be skipped
  };
  // To salvage, where records before these may be missing: those that fit, without the others. A
  // directory that is not there is made; a file is gone where another one was given its name, also
  // if that one is not known. What is said of a file that nobody made is kept for one in
  // nameless_directory.
  void apply_what_can_be(std::string_view records, Leniency& met);
  // Takes files out, with all their names.
  void forget(const std::set<std::uint64_t>& ids);
  [[nodiscard]] Bytes snapshot() const;

  // Null if there is none.
  [[nodiscard]] Entry* find(const std::string& path);
  [[nodiscard]] Entry* find(std::uint64_t id);
  [[nodiscard]] bool is_directory(const std::string& path) const;
  // Names in a directory, without its path.
  [[nodiscard]] std::vector<std::string> children(const std::string& path) const;
  [[nodiscard]] std::map<std::uint64_t, Entry>& entries() { return entries_; }
  [[nodiscard]] const std::map<std::uint64_t, Entry>& entries() const { return entries_; }
  // Some name of the file, for messages.
  [[nodiscard]] std::string name_of(std::uint64_t id) const;
  [[nodiscard]] const std::map<std::string, std::uint64_t>& names() const { return names_; }

 private:
  // `met`: not null if it does not have to fit.
  Result<void> apply_one(class RecordReader& record, Gone* gone, Leniency* met);
  void make_directories(const std::string& path);
  Entry* find_or_keep(std::uint64_t id, Leniency* met);
  void unlink(std::map<std::string, std::uint64_t>::iterator at, Gone* gone);
  Result<void> rename(const std::string& from, const std::string& to, Gone* gone);
  [[nodiscard]] bool can_hold(const std::string& path) const;

  std::map<std::string, std::uint64_t> names_;
  std::set<std::string> directories_{"/"};
  std::map<std::uint64_t, Entry> entries_;
};

}  // namespace once::container
