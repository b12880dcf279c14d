// Opening and closing of the embedded engine.
#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/process.h"
#include "base/random.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/inventory_file_system.h"
#include "engine/embedded/read_only_file_system.h"
#include "engine/embedded/status.h"
#include "engine/embedded/threads_env.h"
#include "model/meta.h"
#include "once/version.h"

namespace once::engine {
namespace {

// A copy of a store may be older than what the original went on to do. Its tokens start this many
// openings later, so that they are greater than all that the original gives meanwhile.
constexpr std::uint64_t restored_leap = std::uint64_t{1} << 20;

// How often a reader tries again at least when the writer changed the files while it was opening
// them; and as long as Options::open_timeout_ms.
constexpr int reading_tries = 200;

// Says what can be done about a damaged store.
Error damaged(const std::string& path, const std::string& what) {
  return {.code = ErrorCode::damaged,
          .message = fmt::format(
              "{} is damaged: {}. Nothing was changed. Restore a backup; or save what stands "
              "before the damage into a fresh store: once dump {} --damaged-log keep-prefix "
              "--format jsonl | once load FRESH. After a power cut the last lines of a log can be "
              "torn although nothing that was acknowledged is missing; a damaged MANIFEST can be "
              "mended on a copy by `ldb repair` (remove ONCE.files there afterwards)",
              path, what, path)};
}

Error refused(const rocksdb::Status& status, const std::string& path) {
  Error error = to_error(status, "opening " + path);
  return error.code == ErrorCode::damaged ? damaged(path, status.ToString()) : error;
}

}  // namespace

EmbeddedEngine::EmbeddedEngine(std::string path, const EmbeddedConfig& config)
    : path_(std::move(path)),
      options_(config.options),
      discard_(config.discard),
      machine_clock_(options_.clock ? options_.clock : system_clock()) {
  const auto base = config.file_system ? config.file_system : rocksdb::FileSystem::Default();
  const bool read_only = options_.read_only && !path_.empty();
  if (path_.empty()) {
    env_ = make_threads_env(
        std::unique_ptr<rocksdb::Env>(rocksdb::NewMemEnv(rocksdb::Env::Default())));
  } else {
    inventory_ = std::make_shared<Inventory>(path_);
    const auto files = read_only ? std::make_shared<ReadOnlyFileSystem>(base) : base;
    env_ =
        make_threads_env(rocksdb::NewCompositeEnv(make_inventory_file_system(files, inventory_)));
  }
}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open(const std::string& path,
                                                             const EmbeddedConfig& config) {
  std::unique_ptr<EmbeddedEngine> engine(new EmbeddedEngine(path, config));
  auto opened = config.options.read_only ? engine->open_for_reading() : engine->open_for_writing();
  if (!opened) return pass(opened);
  return engine;
}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open_memory(const Options& options) {
  std::unique_ptr<EmbeddedEngine> engine(new EmbeddedEngine("", {.options = options}));
  if (auto opened = engine->open_database(false, 0, true); !opened) return pass(opened);
  if (auto started = engine->start_writing(true); !started) return pass(started);
  return engine;
}

Result<void> EmbeddedEngine::open_for_writing() {
  auto directory = StoreDirectory::open(path_, options_, *machine_clock_, discard_);
  if (!directory) return pass(directory);
  directory_.emplace(std::move(*directory));
  const bool fresh = directory_->fresh();
  if (auto checked = check_files(); !checked) return checked;
  if (auto started = inventory_->start_writing(); !started) return started;
  if (auto opened = open_database(false, count_logs(path_), fresh); !opened) return opened;
  return start_writing(fresh);
}

Result<void> EmbeddedEngine::open_for_reading() {
  Result<void> opened;
  const Duration wait = std::min<Duration>(options_.open_timeout_ms, std::chrono::hours(24));
  const Duration deadline = machine_clock_->since_boot() + wait;
  for (int i = 0; i < reading_tries || machine_clock_->since_boot() < deadline; ++i) {
    // Again at every turn: whoever makes the store may be in the middle of it.
    if (auto checked = StoreDirectory::check(path_); !checked) return checked;
    const std::string before = snapshot_of_files();
    opened = try_open_for_reading();
    // If the writer changed the set of files while they were being read, a log may have gone before
    // it was read and after the tables were listed.
    const bool unchanged = before == snapshot_of_files();
    if (unchanged) return opened;
    drop_families();
    db_.reset();
  }
  if (!opened) return opened;
  return fail(ErrorCode::store_locked,
              "{} was being reorganised by its writer all the time; try again", path_);
}

Result<void> EmbeddedEngine::try_open_for_reading() {
  if (auto checked = check_files(); !checked) return checked;
  if (auto opened = open_database(true, 0, false); !opened) return opened;
  return read_meta();
}

Result<void> EmbeddedEngine::check_files() {
  auto checked = inventory_->load();
  // Who asks for what stands before the damage gets it, whatever is missing.
  if (checked && options_.damaged_log == DamagedLog::refuse) checked = inventory_->check();
  if (checked || checked.error().code != ErrorCode::damaged) return checked;
  return std::unexpected(damaged(path_, checked.error().message));
}

std::string EmbeddedEngine::snapshot_of_files() const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = at->path().filename().string();
    // Tables come and go as they like: the manifest, which grows with every change that counts,
    // says which of them belong to the store.
    const bool manifest = name.starts_with("MANIFEST");
    if (!manifest && !name.ends_with(".log")) continue;
    if (manifest) {
      std::error_code gone;
      name += fmt::format(" {}", at->file_size(gone));
    }
    names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  std::string all;
  for (const std::string& name : names) all += name + "\n";
  return all;
}

Result<void> EmbeddedEngine::open_database(bool read_only, std::size_t logs, bool create) {
  rocksdb::DBOptions db_options = database_options(options_, env_.get(), logs);
  db_options.create_if_missing = create;
  db_options.create_missing_column_families = create;
  const auto descriptors = family_descriptors(options_, filters_);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const std::string name = path_.empty() ? "/once" : path_;
  const auto status =
      read_only ? rocksdb::DB::OpenForReadOnly(db_options, name, descriptors, &handles, &db)
                : rocksdb::DB::Open(db_options, name, descriptors, &handles, &db);
  if (!status.ok()) return std::unexpected(refused(status, path_));
  db_.reset(db);
  // RocksDB has made its timer by now, whose destructor waits for a thread.
  skip_destructors_in_forked_child();
  std::ranges::copy(handles, families_.begin());
  return {};
}

Result<void> EmbeddedEngine::read_meta() {
  auto format = get_meta_number(model::format_row);
  if (!format) return pass(format);
  auto opening = get_meta_number(model::opening_row);
  if (!opening) return pass(opening);
  if (!*format || !*opening) {
    return fail(ErrorCode::damaged, "{} lacks the rows that say what it is; restore a backup",
                path_);
  }
  if (**format > store_format) {
    return fail(ErrorCode::newer_format,
                "{} has format {}, and this version of Once ({}) knows formats up to {}; use a "
                "newer version",
                path_, **format, version, store_format);
  }
  opening_ = **opening;
  auto gap = get_meta_number(model::history_gap_row);
  if (!gap) return pass(gap);
  history_gap_ = gap->value_or(0);
  auto mark = get(meta_table, model::clock_row);
  if (!mark) return pass(mark);
  std::optional<model::ClockMark> decoded;
  if (*mark) {
    auto clock_mark = model::decode_clock_mark(**mark);
    if (!clock_mark) return pass(clock_mark);
    decoded = *clock_mark;
  }
  clock_ = std::make_shared<StoreClock>(machine_clock_, decoded);
  return {};
}

Result<void> EmbeddedEngine::start_writing(bool fresh) {
  if (fresh) {
    const auto id = random_id();
    const ByteView id_bytes(reinterpret_cast<const char*>(id.data()), id.size());
    if (auto put = put_meta(model::store_id_row, id_bytes, false); !put) return put;
    if (auto put = put_meta(model::format_row, model::encode_u64(store_format), false); !put) {
      return put;
    }
    if (auto put = put_meta(model::opening_row, model::encode_u64(0), true); !put) return put;
  }
  if (auto read = read_meta(); !read) return read;
  auto restored = get(meta_table, model::restored_row);
  if (!restored) return pass(restored);

  numbering_.emplace([this](std::uint64_t opening) -> Result<void> {
    const auto mark = clock_->mark();
    rocksdb::WriteBatch batch;
    rocksdb::Status status =
        batch.Put(rocksdb::Slice(model::opening_row), model::encode_u64(opening));
    keep_first(status, batch.Put(rocksdb::Slice(model::clock_row), model::encode_clock_mark(mark)));
    keep_first(status, batch.Delete(rocksdb::Slice(model::restored_row)));
    if (!options_.history) {
      keep_first(status,
                 batch.Put(rocksdb::Slice(model::history_gap_row), model::encode_u64(opening)));
      history_gap_ = opening;
    }
    rocksdb::WriteOptions write;
    write.sync = true;
    if (status.ok()) status = db_->Write(write, &batch);
    if (!status.ok()) {
      return std::unexpected(to_error(status, "raising the opening number of " + path_));
    }
    clock_->set_marked(mark.time);
    clock_->set_durable(mark.time);
    return {};
  });
  const std::uint64_t next = opening_ + 1 + (*restored ? restored_leap : 0);
  if (auto raised = numbering_->raise(next); !raised) return raised;
  if (fresh && directory_) {
    if (auto marked = directory_->mark_created(); !marked) return marked;
  }
  for (const auto& filter : filters_) {
    if (filter) filter->set_clock(clock_);
  }
  queue_ = std::make_unique<CommitQueue>(*db_, families_, *numbering_);
  return {};
}

Result<void> EmbeddedEngine::close() {
  auto closed = close_database();
  directory_.reset();
  return closed;
}

Result<void> EmbeddedEngine::close_database() {
  if (!db_) return {};
  Result<void> closed;
  if (queue_ && clock_->now() - clock_->marked() >= std::chrono::seconds(1)) {
    // A poisoned store refuses; its mark is then a little older, which only delays expiry.
    closed = mark_past(clock_->now());
  }
  const bool in_order = queue_ && !queue_->poisoned();
  queue_.reset();
  drop_families();
  const auto status = db_->Close();
  if (!status.ok() && closed) {
    closed = std::unexpected(to_error(status, "closing " + path_));
  }
  db_.reset();
  if (in_order && inventory_ && closed) closed = inventory_->note_closed();
  return closed;
}

void EmbeddedEngine::drop_families() {
  for (rocksdb::ColumnFamilyHandle* handle : families_) {
    if (handle != nullptr) db_->DestroyColumnFamilyHandle(handle);
  }
  families_ = {};
}

EmbeddedEngine::~EmbeddedEngine() {
  (void)close();
}

}  // namespace once::engine
