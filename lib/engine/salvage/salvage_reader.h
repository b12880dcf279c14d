// SalvageReader: gives every row of a damaged store that is sound and the newest of its key, and
// tells of those that it cannot give.
//
//   auto reader = SalvageReader::open("payments.once", {}).value();
//   reader->rows(Table::keys, visit, lost);
//
// RocksDB does the reading, to read only, over files that were mended in memory
// (mended_file_system.h). Where its iterator stops at damage, the keys that the sound blocks of the
// tables hold are looked up one by one instead: what Get() answers is the newest version, and what
// it refuses may have a newer one in bytes that are lost.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/embedded/rocksdb_options.h"
#include "engine/embedded/store_clock.h"
#include "engine/salvage/damaged_files.h"
#include "engine/salvage/mended_file_system.h"
#include "once/options.h"
#include "once/row.h"
#include "once/salvage.h"

namespace once::engine {

using LossVisitor = std::function<void(const Loss&)>;

// Used by one thread.
class SalvageReader {
 public:
  // Errors: as DamagedFiles::open(); damaged, if there is nothing that could be read.
  static Result<std::unique_ptr<SalvageReader>> open(const std::string& path,
                                                     const Options& options,
                                                     const DamagedFiles::Options& files);
  SalvageReader(const SalvageReader&) = delete;
  SalvageReader& operator=(const SalvageReader&) = delete;
  ~SalvageReader();

  // What is missing of the journal, of logs and of the list of files.
  [[nodiscard]] const std::vector<Loss>& losses() const { return losses_; }
  [[nodiscard]] const std::vector<std::string>& mended() const { return mended_; }
  [[nodiscard]] std::uint64_t lost_log_bytes() const { return lost_log_bytes_; }
  // Commits, or files, are missing: that a row is not there need not fit what other tables tell.
  [[nodiscard]] bool tables_may_differ() const { return lost_log_bytes_ != 0 || lost_tables_; }

  // The store's own row, as far as it can be told. nullopt for what is past `history_gap`: it
  // cannot be told up to which opening history has gaps.
  struct Facts {
    StoreRow row{};
    bool knows_gap = true;
    Time now{};  // 0: unknown
  };
  // Errors: newer_format.
  Result<Facts> facts(const LossVisitor& lost);

  // Visits the sound rows of a table in the order of keys, without those past their retention at
  // `now`, until false is returned.
  Result<void> rows(Table table, Time now, const std::function<bool(const Row&)>& visit,
                    const LossVisitor& lost);
  // The newest row of a key in `keys` or `results`. Errors: damaged, if it cannot be told.
  Result<std::optional<Row>> find(Table table, const Key& key);

  Result<void> check_unchanged() { return files_->check_unchanged(); }

 private:
  class KeysOfTable;
  struct Delivery;

  SalvageReader(std::string path, const Options& options, std::unique_ptr<DamagedFiles> files);
  Result<void> open();
  Result<void> open_files();
  void read_logs();
  // Those whose names the journal has lost.
  void read_nameless_logs();
  void take_log(const std::string& name, DamagedFiles::Log log);
  void lose_commits(const std::string& why);
  // What is in the list of files, or nullopt if it cannot be read to its end.
  struct Manifest {
    std::string name{};
    Bytes bytes{};
    bool whole = true;
  };
  // Their names, in the order in which they are to be tried.
  std::vector<std::string> manifests();
  std::optional<Manifest> read_manifest(const std::string& name);
  // Whether it can be the list of the files that are there.
  bool goes_with_files(const Manifest& manifest);
  rocksdb::Status open_listed(const Manifest& manifest);
  Result<void> open_rebuilt();
  rocksdb::Status open_database(const std::shared_ptr<MendedFileSystem>& shown);
  void close();
  struct Listed {
    bool all = false;   // every table that is there
    bool only = false;  // no table that is not there
  };
  [[nodiscard]] Listed compare_with_list();
  // Whether a file whose name is lost is that table.
  bool find_nameless(const rocksdb::LiveFileMetaData& file);

  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(Table table) const {
    return families_[static_cast<std::size_t>(table)];
  }
  std::shared_ptr<MendedFileSystem> shown_files() const;
  Result<std::optional<Bytes>> get(Table table, ByteView key);
  Result<void> rows_one_by_one(Table table, Delivery& delivery, const LossVisitor& lost);
  void tell_gaps(Table table, const rocksdb::LiveFileMetaData& file, const LossVisitor& lost);

  const std::string path_;
  const Options options_;
  const ExpiryFilters filters_ = make_expiry_filters();
  const std::shared_ptr<DamagedFiles> files_;
  std::map<std::string, Bytes> logs_{};  // mended
  std::optional<DamagedFiles::Log> nameless_manifest_{};
  std::string nameless_manifest_name_{};  // by which it goes
  bool rebuilt_ = false;                  // the list of files
  std::vector<Loss> losses_{};
  std::vector<std::string> mended_{};
  std::uint64_t lost_log_bytes_ = 0;
  bool lost_tables_ = false;

  std::shared_ptr<MendedFileSystem> shown_{};
  std::unique_ptr<rocksdb::Env> env_{};
  std::unique_ptr<rocksdb::DB> db_{};
  std::array<rocksdb::ColumnFamilyHandle*, 7> families_{};
};

}  // namespace once::engine
