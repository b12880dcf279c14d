#include "engine/salvage/salvage_reader.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/error.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/status.h"
#include "engine/embedded/threads_env.h"
#include "engine/salvage/merged_twice.h"
#include "engine/salvage/new_manifest.h"
#include "engine/salvage/place_names.h"

namespace once::engine {
namespace {

constexpr std::array tables = {Table::all,    Table::keys,    Table::results, Table::checkpoints,
                               Table::outbox, Table::history, Table::data};

std::uint64_t number_in(std::string_view name) {
  const std::size_t digit = name.find_first_of("0123456789");
  std::uint64_t number = 0;
  if (digit != std::string_view::npos) {
    std::from_chars(name.data() + digit, name.data() + name.size(), number);
  }
  return number;
}

}  // namespace

SalvageReader::SalvageReader(std::string path, const Options& options,
                             std::unique_ptr<DamagedFiles> files)
    : path_(std::move(path)), options_(options), files_(std::move(files)) {}

SalvageReader::~SalvageReader() {
  close();
}

Result<std::unique_ptr<SalvageReader>> SalvageReader::open(const std::string& path,
                                                           const Options& options,
                                                           const DamagedFiles::Options& files) {
  auto opened = DamagedFiles::open(path, files);
  if (!opened) return pass(opened);
  std::unique_ptr<SalvageReader> reader(new SalvageReader(path, options, std::move(*opened)));
  if (auto ready = reader->open(); !ready) return pass(ready);
  return reader;
}

Result<void> SalvageReader::open() {
  mended_ = files_->mended();
  for (const std::string& lost : files_->lost()) {
    lost_tables_ = true;
    losses_.push_back(
        {.why = fmt::format("the journal, which says what files there are, has lost {}: what was "
                            "in files that were made then may be missing, and what was removed "
                            "may be back",
                            lost)});
  }
  read_logs();
  read_nameless_logs();
  if (auto opened = open_files(); !opened) return opened;
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  for (const auto& file : files) {
    const auto table = shown_->table(in_directory(file));
    if (!table || table->opens()) continue;
    mended_.push_back(fmt::format("the table file {}: {}; its rows were found without it",
                                  in_directory(file), table->problem()));
  }
  return {};
}

Result<void> SalvageReader::open_files() {
  for (const std::string& name : manifests()) {
    const auto manifest = read_manifest(name);
    if (!manifest) continue;
    if (open_listed(*manifest).ok() && goes_with_files(*manifest)) return {};
    close();
  }
  return open_rebuilt();
}

bool SalvageReader::goes_with_files(const Manifest& manifest) {
  const Listed listed = compare_with_list();
  // The end of a list that was cut cannot be missed by itself.
  if (manifest.whole && (listed.all || files_->knows_sizes())) {
    // An old one, which was to be removed, names tables that are gone and not those that came.
    if (!files_->lost().empty() && !listed.all && !listed.only) return false;
    lost_tables_ = lost_tables_ || !listed.only;
    return true;
  }
  if (!listed.all || !listed.only) return false;
  mended_.push_back(
      fmt::format("the end of the list of files, {}, is damaged; what stands before "
                  "names just the files that are there",
                  manifest.name));
  return true;
}

void SalvageReader::lose_commits(const std::string& why) {
  losses_.push_back(
      {.why = why + ": what was committed there is missing, and whose rows it was cannot be told"});
}

void SalvageReader::read_logs() {
  for (const std::string& name : files_->missing_logs()) {
    ++lost_log_bytes_;
    lose_commits(fmt::format("the log {} is not there", name));
  }
  for (const auto& [name, size] : files_->names()) {
    if (!is_log_name(name)) continue;
    auto log = files_->read_log(name);
    if (!log) {
      lost_log_bytes_ += std::max<std::uint64_t>(size, 1);
      lose_commits(fmt::format("the log {} cannot be read ({})", name, log.error().message));
      continue;
    }
    take_log(name, std::move(*log));
  }
}

void SalvageReader::take_log(const std::string& name, DamagedFiles::Log log) {
  std::vector<LogGap> gaps = mend_log(log.bytes);
  for (const LogGap& gap : log.missing) {
    if (gap.offset + gap.length > log.bytes.size()) gaps.push_back(gap);
  }
  for (const LogGap& gap : gaps) {
    lost_log_bytes_ += gap.length;
    const std::string place = log.problem.empty() ? "" : " (" + log.problem + ")";
    lose_commits(fmt::format("{} of the log {} are damaged{}", bytes_from(gap.offset, gap.length),
                             name, place));
  }
  logs_[name] = std::move(log.bytes);
}

void SalvageReader::read_nameless_logs() {
  auto found = files_->read_nameless_logs();
  if (!found) return;
  std::uint64_t number = 0;
  for (const auto& [name, size] : files_->names()) number = std::max(number, number_in(name));
  // The list of files tells of more than those that have names, and RocksDB leaves out logs before
  // the one that it names. No journal loses as many files.
  number += 1'000'000;
  std::vector<DamagedFiles::Log> logs;
  for (DamagedFiles::Log& log : *found) {
    // What it is of shows at its beginning.
    const bool begins = log.missing.empty() || log.missing.front().offset > 0;
    if (!begins || log.bytes.empty()) continue;
    constexpr std::size_t first_record = 200;
    if (log.bytes.substr(0, first_record).contains("leveldb.BytewiseComparator")) {
      nameless_manifest_ = std::move(log);
    } else {
      logs.push_back(std::move(log));
    }
  }
  // Those that were removed later are the oldest: what stands in them is in tables. But their
  // blocks may have been written to since, and the newest log of all is there.
  const std::ptrdiff_t there = !logs.empty() && logs.back().newest ? 1 : 0;
  const std::ptrdiff_t removed = std::ranges::count_if(files_->removed_unknown(), is_log_name);
  logs.erase(logs.begin(), logs.begin() + std::min(removed, std::ssize(logs) - there));
  for (DamagedFiles::Log& log : logs) {
    const std::string name = fmt::format("{:06}.log", ++number);
    const std::string taken = fmt::format(
        "a log whose name and making the journal does not tell of was taken as {}", name);
    if (files_->lost().empty()) {
      // Nothing vouches for the end of a journal, and in the same way other files may be missing.
      lost_tables_ = true;
      losses_.push_back({.why = taken + "; other files that were made after those of which it "
                                        "tells may be missing",
                         .instead = "what was committed there"});
    } else {
      mended_.push_back(taken);
    }
    take_log(name, std::move(log));
  }
}

std::vector<std::string> SalvageReader::manifests() {
  constexpr std::uint64_t longest = 64;
  auto current = files_->read("CURRENT", 0, longest);
  if (current) current->resize(std::min(current->find('\n'), current->size()));
  const bool named = current && is_manifest_name(*current);
  const bool lost = !files_->lost().empty();
  std::string newest;
  for (const auto& [name, size] : files_->names()) {
    if (is_manifest_name(name) && number_in(name) >= number_in(newest)) newest = name;
  }
  if (named && files_->names().contains(*current)) {
    // That a newer one was made the current one may be among what is lost.
    if (lost && newest != *current) return {newest, *current};
    return {*current};
  }
  if (lost && nameless_manifest_) {
    nameless_manifest_name_ =
        named ? *current : fmt::format("MANIFEST-{:06}", number_in(newest) + 1);
    return {nameless_manifest_name_};
  }
  if (newest.empty()) return {};
  // What it lacks may be what counts.
  if (lost && named && number_in(newest) < number_in(*current)) return {};
  mended_.push_back(
      fmt::format("the file CURRENT is damaged; the newest list of files, {}, was taken", newest));
  return {newest};
}

std::optional<SalvageReader::Manifest> SalvageReader::read_manifest(const std::string& name) {
  Manifest manifest{.name = name};
  auto log = name == nameless_manifest_name_ ? Result<DamagedFiles::Log>(*nameless_manifest_)
                                             : files_->read_log(name);
  if (!log) return std::nullopt;
  Bytes mended = log->bytes;
  const std::vector<LogGap> gaps = mend_log(mended);
  if (gaps.empty() && log->missing.empty()) {
    manifest.bytes = std::move(mended);
    return manifest;
  }
  // All before the damage, if nothing is behind it.
  const std::uint64_t end = gaps.empty() ? mended.size() : gaps.front().offset;
  const bool at_the_end =
      gaps.empty() || (gaps.size() == 1 && gaps[0].offset + gaps[0].length == mended.size());
  if (!at_the_end || end == 0) return std::nullopt;
  manifest.bytes = log->bytes.substr(0, end);
  manifest.whole = false;
  return manifest;
}

std::shared_ptr<MendedFileSystem> SalvageReader::shown_files() const {
  auto shown = std::make_shared<MendedFileSystem>(files_);
  for (const auto& [name, bytes] : logs_) shown->put(name, bytes);
  shown->put("IDENTITY", "00000000-0000-0000-0000-000000000000");
  return shown;
}

rocksdb::Status SalvageReader::open_listed(const Manifest& manifest) {
  const auto show = [&] {
    auto shown = shown_files();
    shown->put("CURRENT", manifest.name + "\n");
    shown->put(manifest.name, manifest.bytes);
    return shown;
  };
  auto shown = show();
  auto status = open_database(shown);
  if (!status.ok()) return status;
  // Of a table that was cut, RocksDB goes by the length in the list, and so must what is mended.
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  bool differ = false;
  for (const auto& file : files) {
    const bool found = !files_->names().contains(in_directory(file)) && find_nameless(file);
    const auto there = files_->names().find(in_directory(file));
    if (there == files_->names().end() || (there->second == file.size && !found)) continue;
    if (!differ) shown = show();
    differ = true;
    shown->expect(there->first, file.size);
  }
  if (!differ) return status;
  close();
  return open_database(shown);
}

bool SalvageReader::find_nameless(const rocksdb::LiveFileMetaData& file) {
  for (const auto& [nameless, size] : files_->nameless()) {
    if (size != file.size) continue;
    const DamagedTable table(
        [this, &name = nameless](std::uint64_t offset, std::uint64_t length) {
          return files_->read(name, offset, length);
        },
        size);
    const auto known = list_table(table, file.file_number, size);
    const bool same = known && known->family < tables.size() &&
                      family_name(tables[known->family]) == file.column_family_name &&
                      known->smallest_sequence == file.smallest_seqno &&
                      known->largest_sequence == file.largest_seqno &&
                      known->first_key == file.smallestkey && known->last_key == file.largestkey;
    if (!same) continue;
    files_->give_name(nameless, in_directory(file));
    return true;
  }
  return false;
}

SalvageReader::Listed SalvageReader::compare_with_list() {
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  std::set<std::string> names;
  for (const auto& file : files) names.insert(in_directory(file));
  Listed listed{.all = true};
  for (const auto& [name, size] : files_->names()) {
    if (is_table_name(name) && names.erase(name) == 0) listed.all = false;
  }
  listed.only = names.empty();
  return listed;
}

Result<void> SalvageReader::open_rebuilt() {
  rebuilt_ = true;
  auto shown = shown_files();
  std::vector<FoundTable> found;
  std::uint64_t next_number = 2;
  for (const auto& [name, size] : files_->names()) {
    next_number = std::max(next_number, number_in(name) + 2);
    if (!is_table_name(name)) continue;
    const auto there = shown->table(name);
    auto table = list_table(*there, number_in(name), size);
    if (table && table->family < tables.size()) {
      found.push_back({.listed = std::move(*table), .contents = contents_of(*there)});
    } else {
      lost_tables_ = true;
      losses_.push_back({.why = fmt::format("of the table file {} it cannot be told whose rows it "
                                            "holds",
                                            name)});
    }
  }
  for (const LeftOut& table : leave_out_merged_twice(found)) {
    if (table.missing_keys == 0) continue;
    lost_tables_ = true;
    losses_.push_back(
        {.why = fmt::format("the table file {:06}.sst, which had been merged into newer ones, was "
                            "left out with {} keys that these do not have",
                            table.number, table.missing_keys)});
  }
  if (found.empty() && logs_.empty()) {
    return fail(ErrorCode::damaged,
                "{} is damaged: neither the list of files of the store nor any of its tables and "
                "logs can be read; restore a backup. Nothing was changed",
                path_);
  }
  std::vector<std::string> families;
  families.reserve(tables.size());
  for (const Table table : tables) families.push_back(family_name(table));
  const std::string name = fmt::format("MANIFEST-{:06}", next_number - 1);
  shown->put("CURRENT", name + "\n");
  std::vector<ListedTable> listed;
  listed.reserve(found.size());
  for (FoundTable& table : found) listed.push_back(std::move(table.listed));
  shown->put(name, make_manifest(families, listed, next_number));
  const auto status = open_database(shown);
  if (!status.ok()) return std::unexpected(to_error(status, "salvaging " + path_));
  losses_.push_back(
      {.why =
           "the list of files of the store (MANIFEST) cannot be read, and was made anew from the "
           "files that are there; rows that had been removed, or older versions of rows, may be "
           "back",
       .instead = "all rows of these files"});
  return {};
}

rocksdb::Status SalvageReader::open_database(const std::shared_ptr<MendedFileSystem>& shown) {
  shown_ = shown;
  env_ = make_threads_env(rocksdb::NewCompositeEnv(shown));
  rocksdb::DBOptions options = database_options(options_, env_.get(), 0);
  options.create_if_missing = false;
  options.create_missing_column_families = false;
  // A table that cannot be opened keeps nothing but its own rows back.
  options.paranoid_checks = false;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  options.skip_stats_update_on_db_open = true;
  options.verify_sst_unique_id_in_manifest = false;
  // Behind a gap whatever is whole counts.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  auto descriptors = family_descriptors(options_, filters_);
  for (auto& descriptor : descriptors) {
    // Holds for tables on the levels on which they were made only.
    descriptor.options.force_consistency_checks = !rebuilt_;
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::OpenForReadOnly(options, MendedFileSystem::directory,
                                                   descriptors, &handles, &db);
  if (!status.ok()) return status;
  db_.reset(db);
  std::ranges::copy(handles, families_.begin());
  return status;
}

void SalvageReader::close() {
  for (rocksdb::ColumnFamilyHandle* handle : families_) {
    if (handle != nullptr) db_->DestroyColumnFamilyHandle(handle);
  }
  families_ = {};
  db_.reset();
  env_.reset();
  shown_.reset();
}

}  // namespace once::engine
