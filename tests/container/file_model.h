// The reference model of a container's files: what a program of calls answers, and what may be
// found after the power went in the middle of it.
//
//   FileModel model;
//   CHECK(runner.run(op) == model.run(op));
//   FileModel at_crash = model;                       // a value
//   CHECK(at_crash.problem_with(tree, model) == "");  // what a later opening may show
//
// After a crash (container.h, invariant 1; a prefix not shorter than what was acknowledged):
//   1. The names are those after some number of changes of names, not before the last change that
//      a directory's sync has covered.
//   2. A file that was synced has exactly its bytes; what was appended since may be there as a
// //      prefix.
//   3. A log is a prefix of whole appends, not shorter than what was synced; and if a write-ahead
//      log has any bytes, those before it have all that they had when it was made.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container/file_program.h"

namespace once::testing {

class FileModel {
 public:
  FileModel();
  // One in which all of `tree` is durable.
  static FileModel of(const Tree& tree);

  // What the call answers, and does.
  Answer run(const Op& op);
  // Whether the answer is laid down at all: RocksDB never writes a file in two places, and nothing
  // is promised to who does.
  [[nodiscard]] bool is_laid_down(const Op& op) const;

  // A call failed for a reason that the model does not know: what it held open it has let go of.
  void fail(const Op& op);

  // Nothing if `found` may be there after a crash: when `this` was acknowledged and nothing beyond
  // `ceiling` (this, and at most the call under way) was asked for. Otherwise what is wrong.
  // With `identities` it is also known which names are of one file.
  [[nodiscard]] std::string problem_with(const Tree& found, const FileModel& ceiling,
                                         const Identities& identities = {}) const;
  // What is so from now on, after it was found and problem_with() found nothing wrong with it.
  [[nodiscard]] FileModel settled_as(const Tree& found, const FileModel& ceiling,
                                     const Identities& identities) const;
  // Appends so far, failed ones too.
  [[nodiscard]] std::uint64_t serial() const { return serial_; }
  // The same for a container that was closed in good order, or is still open.
  [[nodiscard]] std::string difference_to(const Tree& found) const;

  // Everything there is.
  [[nodiscard]] Tree tree() const;
  // How many names the file at `path` has.
  [[nodiscard]] int links(const std::string& path) const;
  // Whether there is a file that was made as a log.
  [[nodiscard]] bool is_log(const std::string& path) const;
  // How much of a file has to be found; 0 if there is none.
  [[nodiscard]] std::size_t synced_bytes(const std::string& path) const;
  // The paths of all files.
  [[nodiscard]] std::vector<std::string> files() const;

 private:
  struct Content {
    std::string bytes{};
    std::size_t synced = 0;
    std::vector<std::size_t> ends{};  // of the appends, in a log
  };
  struct File {
    bool log = false;
    bool write_ahead = false;  // a log that is no manifest
    Content now{};
    // What else may be found since a cut that no sync has followed.
    std::vector<Content> before{};
    // Those that were there when this one, a write-ahead log, was made, and how far they were.
    std::map<int, std::size_t> after{};
  };
  static constexpr int directory = -1;
  using Names = std::map<std::string, int>;  // path -> file, or `directory`

  struct Slot {
    int file = directory;  // directory: nothing is open
    bool reopened = false;
  };

  [[nodiscard]] const Names& names() const { return *history_.back(); }
  void set_names(Names names);
  [[nodiscard]] bool is_directory(const std::string& path) const;
  [[nodiscard]] int file_at(const std::string& path) const;  // directory: there is none
  [[nodiscard]] bool is_open(int file) const;
  int make_file(const std::string& path);

  Answer run_writing(const Op& op, Slot& slot);
  Answer run_naming(const Op& op);
  Answer run_looking(const Op& op) const;
  Answer rename(const std::string& from, const std::string& to);
  void append(int file, std::size_t length);

  // Names that `found` fits, or null and why not.
  [[nodiscard]] std::shared_ptr<const Names> fitting(const Tree& found, const FileModel& ceiling,
                                                     const Identities& identities,
                                                     std::string* problem) const;
  [[nodiscard]] static bool are_files_of(const Identities& identities, const Names& names);
  [[nodiscard]] bool names_fit(const Tree& found, const Names& names) const;
  [[nodiscard]] std::string problem_with_files(const Tree& found, const Names& names,
                                               const FileModel& ceiling) const;
  [[nodiscard]] static bool may_be(const std::string& found, const Content& content, bool log);

  std::vector<std::shared_ptr<const Names>> history_;  // after each change of names
  std::map<int, std::shared_ptr<const File>> files_;
  std::array<Slot, program_slots> slots_{};
  int next_file_ = 0;
  std::uint64_t serial_ = 0;
};

}  // namespace once::testing
