// DamagedFiles: the files that RocksDB keeps of a store, in whichever layout, read without any of
// the checks that keep a damaged store from being opened.
//
//   auto files = DamagedFiles::open("payments.once", {}).value();
//   for (const std::string& name : files->names()) ...
//
// Nothing is written, no lock is taken, and nothing is recovered. A store that somebody has open
// for writing is refused, since what that one goes on to acknowledge would be missing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container/device.h"
#include "engine/salvage/damaged_log.h"
#include "once/bytes.h"
#include "once/error.h"

namespace once::engine {

// Used by one thread, apart from read().
class DamagedFiles {
 public:
  struct Options {
    bool allow_network_file_system = false;
    // Instead of the container's file at the path, for tests.
    std::shared_ptr<container::Device> device{};
  };

  // Errors: store_missing, not_a_store, newer_format, store_locked (somebody writes to it),
  // damaged (what leads to the files is beyond reading), permission, io.
  static Result<std::unique_ptr<DamagedFiles>> open(const std::string& path,
                                                    const Options& options);

  DamagedFiles() = default;
  DamagedFiles(const DamagedFiles&) = delete;
  DamagedFiles& operator=(const DamagedFiles&) = delete;
  virtual ~DamagedFiles() = default;

  // All files of RocksDB, and their sizes; of logs those that they should have at least.
  [[nodiscard]] virtual const std::map<std::string, std::uint64_t>& names() const = 0;
  // Whether a file that was cut would show, whichever it is.
  [[nodiscard]] virtual bool knows_sizes() const = 0;
  // What was damaged on the way to the files and cost nothing; for people.
  [[nodiscard]] virtual std::vector<std::string> mended() const { return {}; }
  // What is lost of that which says where the files are; for people. If anything is, files that
  // were made last may be missing, and others still there that were removed.
  [[nodiscard]] virtual std::vector<std::string> lost() const { return {}; }
  // Logs that there should be and that are not.
  [[nodiscard]] virtual std::vector<std::string> missing_logs() const { return {}; }
  // Fewer bytes than asked for at the end of the file. Not for logs. Errors: not_found, damaged,
  // io.
  [[nodiscard]] virtual Result<Bytes> read(const std::string& name, std::uint64_t offset,
                                           std::uint64_t length) = 0;
  struct Log {
    Bytes bytes{};                  // zeros where something is missing
    std::vector<LogGap> missing{};  // the last one may go on behind `bytes`
    std::string problem{};          // where, for people
    bool newest = false;            // without a name, and made after all logs that have one
  };
  [[nodiscard]] virtual Result<Log> read_log(const std::string& name) = 0;
  // Logs and lists of files that are there and whose names are lost, oldest first.
  [[nodiscard]] virtual Result<std::vector<Log>> read_nameless_logs() { return {}; }
  // Files whose names are lost, and their sizes, under names for read() that are nobody's.
  [[nodiscard]] virtual std::map<std::string, std::uint64_t> nameless() const { return {}; }
  // It is known which one it is.
  virtual void give_name(const std::string& /*nameless*/, const std::string& /*name*/) {}
  // Names of files that were removed, of which nothing else is known.
  [[nodiscard]] virtual std::vector<std::string> removed_unknown() const { return {}; }
  // Errors: store_locked if somebody has written to it since it was opened.
  [[nodiscard]] virtual Result<void> check_unchanged() = 0;
};

[[nodiscard]] bool is_log_name(std::string_view name);  // a write-ahead log
[[nodiscard]] bool is_manifest_name(std::string_view name);
[[nodiscard]] bool is_table_name(std::string_view name);

}  // namespace once::engine
