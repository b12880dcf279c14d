#include "engine/embedded/merge_in_pieces.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/embedded/status.h"

namespace once::engine {
namespace {

using rocksdb::Status;

class Partitioner final : public rocksdb::SstPartitioner {
 public:
  explicit Partitioner(std::shared_ptr<const std::vector<std::string>> keys)
      : keys_(std::move(keys)) {}
  const char* Name() const override { return "once.Partitioner"; }

  rocksdb::PartitionerResult ShouldPartition(const rocksdb::PartitionerRequest& request) override {
    return is_cut(*request.prev_user_key, *request.current_user_key) ? rocksdb::kRequired
                                                                     : rocksdb::kNotRequired;
  }
  bool CanDoTrivialMove(const rocksdb::Slice& smallest, const rocksdb::Slice& largest) override {
    return !is_cut(smallest, largest);
  }

 private:
  // Whether a table begins behind one of the keys and not behind the other.
  bool is_cut(const rocksdb::Slice& before, const rocksdb::Slice& at) const {
    const auto cut = std::ranges::upper_bound(*keys_, before.ToStringView());
    return cut != keys_->end() && *cut <= at.ToStringView();
  }

  const std::shared_ptr<const std::vector<std::string>> keys_;
};

class Merging {
 public:
  Merging(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family, TableCuts& cuts,
          std::uint64_t table_bytes)
      : db_(db), family_(family), cuts_(cuts) {
    options_.compression = rocksdb::kDisableCompressionOption;  // as the family has it
    options_.output_file_size_limit = table_bytes;
    last_ = db.NumberLevels(&family) - 1;
  }

  Status run() {
    Status status = empty_staging();
    for (int level = staging() - 1; level >= 0 && status.ok(); --level) status = lower(level);
    // Of what was left at first, all may be done by now.
    if (status.ok() && upper_levels_are_empty()) lack_ = Status::OK();
    if (status.ok()) status = rewrite_last();
    return status.ok() ? lack_ : status;
  }

 private:
  using Names = std::vector<std::string>;

  // The level before the last.
  [[nodiscard]] int staging() const { return last_ - 1; }
  [[nodiscard]] std::vector<rocksdb::LevelMetaData> levels() const {
    rocksdb::ColumnFamilyMetaData family;
    db_.GetColumnFamilyMetaData(&family_, &family);
    return std::move(family.levels);
  }
  // Of the tables of a level; of level 0 the newest first.
  [[nodiscard]] Names tables_of(int level) const {
    const auto all = levels();
    Names names;
    for (const auto& table : all[static_cast<std::size_t>(level)].files) {
      names.push_back(table.relative_filename);
    }
    return names;
  }
  [[nodiscard]] bool is_there(const std::string& table) const {
    return std::ranges::any_of(levels(), [&](const auto& level) {
      return std::ranges::any_of(level.files,
                                 [&](const auto& file) { return file.relative_filename == table; });
    });
  }
  [[nodiscard]] bool upper_levels_are_empty() const {
    return std::ranges::all_of(
        levels(), [&](const auto& level) { return level.level == last_ || level.files.empty(); });
  }
  // What finds no room changes nothing, and is not what is answered.
  Status merge(const std::string& table, int level, bool& done) {
    Names made;
    done = !is_there(table);
    if (done) return Status::OK();  // it went with one whose last key it begins with
    Status status = db_.CompactFiles(options_, &family_, {table}, level, -1, &made);
    done = status.ok();
    if (status.IsNoSpace()) {
      lack_ = status;
      return Status::OK();
    }
    for (const std::string& path : made) made_.insert(path.substr(path.rfind('/') + 1));
    return status;
  }

  // Tables of a level before these two go to the first of them one by one.
  Status lower(int level) {
    bool done = true;
    Status status;
    for (Names names = tables_of(level); done && status.ok() && !names.empty();
         names = tables_of(level)) {
      cut_at_last_level();
      status = merge(names.back(), staging(), done);
      if (status.ok() && done) status = empty_staging();
    }
    return status;
  }

  // Each table of the level before the last goes with the one table of the last that it overlaps.
  Status empty_staging() {
    cut_at_last_level();
    Status status;
    bool done = false;
    for (const std::string& table : tables_of(staging())) {
      if (status.ok()) status = merge(table, staging(), done);
    }
    cuts_.set({});
    // Those that found no room may find what the others made.
    for (bool again = true; again && status.ok();) {
      bool any = false;
      again = false;
      for (const std::string& table : tables_of(staging())) {
        if (status.ok()) status = merge(table, last_, done);
        any |= done;
        again |= !done;
      }
      again &= any;
    }
    return status;
  }

  // What expired in tables that nothing newer was merged with.
  Status rewrite_last() {
    Status status;
    for (const std::string& table : tables_of(last_)) {
      bool done = false;
      if (status.ok() && !made_.contains(table)) status = merge(table, last_, done);
    }
    return status;
  }

  void cut_at_last_level() {
    const auto all = levels();
    std::vector<std::string> keys;
    for (const auto& table : all[static_cast<std::size_t>(last_)].files) {
      keys.push_back(table.smallestkey);
    }
    std::ranges::sort(keys);
    cuts_.set(std::move(keys));
  }

  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle& family_;
  TableCuts& cuts_;
  rocksdb::CompactionOptions options_{};
  int last_ = 0;
  Status lack_{};                 // of room, for something that is left
  std::set<std::string> made_{};  // tables that nothing has to be done with any more
};

// Lets the database go on by itself, whatever happens meanwhile.
struct Resumption {
  rocksdb::DB& db;
  TableCuts& cuts;
  Resumption(rocksdb::DB& database, TableCuts& table_cuts) : db(database), cuts(table_cuts) {}
  Resumption(const Resumption&) = delete;
  Resumption& operator=(const Resumption&) = delete;
  ~Resumption() {
    cuts.set({});
    (void)db.ContinueBackgroundWork();
  }
};

}  // namespace

void TableCuts::set(std::vector<std::string> keys) {
  MutexLock lock(mutex_);
  keys_ =
      keys.empty() ? nullptr : std::make_shared<const std::vector<std::string>>(std::move(keys));
}

std::unique_ptr<rocksdb::SstPartitioner> TableCuts::CreatePartitioner(
    const rocksdb::SstPartitioner::Context&) const {
  MutexLock lock(mutex_);
  return keys_ ? std::make_unique<Partitioner>(keys_) : nullptr;
}

Status merge_in_pieces(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family, TableCuts& cuts,
                       std::uint64_t table_bytes) {
  // Merges that the database began by itself would hold tables that are needed here.
  if (Status paused = db.PauseBackgroundWork(); !paused.ok()) return paused;
  const Resumption resumption{db, cuts};
  return Merging(db, family, cuts, table_bytes).run();
}

}  // namespace once::engine
