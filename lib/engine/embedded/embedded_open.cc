// Opening and closing of the embedded engine.
#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "base/process.h"
#include "base/random.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/no_options_file.h"
#include "engine/embedded/status.h"
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
// From so many tables on a second thread that opens them is worth its start.
constexpr std::uint64_t many_tables = 32;
// What the memtables may hold for the next opening to replay: a few milliseconds of it.
constexpr std::uint64_t unflushed_at_close = std::uint64_t{1} << 20;
// Closing gives the disk back what logs took. In a smaller store that is the room in which a full
// disk merges tables; one of this size has its whole reserve for that.
constexpr std::uint64_t bytes_with_whole_reserve = std::uint64_t{128} << 20;

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

// An environment with another file system. Borrows `target`.
class EnvOver final : public rocksdb::EnvWrapper {
 public:
  EnvOver(rocksdb::Env* target, std::shared_ptr<rocksdb::FileSystem> file_system)
      : EnvWrapper(target) {
    file_system_ = std::move(file_system);
  }
};

}  // namespace

EmbeddedEngine::EmbeddedEngine(std::unique_ptr<Place> place, const Options& options, bool importing)
    : number_(next_number()),
      place_(std::move(place)),
      options_(options),
      importing_(importing),
      machine_clock_(options_.clock ? options_.clock : system_clock()) {}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open(std::unique_ptr<Place> place,
                                                             const Options& options) {
  return start(
      std::unique_ptr<EmbeddedEngine>(new EmbeddedEngine(std::move(place), options, false)));
}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open(const std::string& path,
                                                             const PlaceConfig& config) {
  return start(std::unique_ptr<EmbeddedEngine>(
      new EmbeddedEngine(make_place(path, config), config.options, config.discard)));
}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::start(
    std::unique_ptr<EmbeddedEngine> engine) {
  auto opened =
      engine->options_.read_only ? engine->open_for_reading() : engine->open_for_writing();
  if (!opened) return pass(opened);
  return engine;
}

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open_memory(const Options& options) {
  return open(make_memory_place(), options);
}

Result<void> EmbeddedEngine::open_for_writing() {
  if (auto opened = place_->open_for_writing(); !opened) return opened;
  // What removes must be able to open it on a full disk first.
  const auto reserve = place_->clean_up();
  if (auto opened = open_database(false); !opened) return opened;
  remove_options_files(*env_, place_->database());
  return start_writing();
}

Result<void> EmbeddedEngine::open_for_reading() {
  Result<void> opened;
  const Duration wait = std::min<Duration>(options_.open_timeout_ms, std::chrono::hours(24));
  const Duration deadline = machine_clock_->since_boot() + wait;
  for (int i = 0; i < reading_tries || machine_clock_->since_boot() < deadline; ++i) {
    opened = try_open_for_reading();
    if (place_->saw_one_state(opened.has_value())) return opened;
    drop_families();
    db_.reset();
  }
  // What an opening met that saw the files of several states says nothing of the store.
  const std::string last =
      opened ? "" : fmt::format(" (what it met the last time: {})", opened.error().message);
  return fail(ErrorCode::store_locked,
              "{} was being reorganised by its writer at each of the tries to open it to read; try "
              "again, or with a longer open_timeout_ms{}",
              place_->name(), last);
}

Result<void> EmbeddedEngine::try_open_for_reading() {
  if (auto begun = place_->begin_reading(); !begun) return begun;
  if (auto opened = open_database(true); !opened) return opened;
  return read_meta();
}

Result<void> EmbeddedEngine::open_database(bool read_only) {
  const bool create = !read_only && place_->fresh();
  rocksdb::Env* const env = place_->env();
  env_ =
      std::make_unique<EnvOver>(env, without_options_file(full_disk_->watch(env->GetFileSystem())));
  rocksdb::DBOptions db_options =
      database_options(options_, env_.get(), read_only ? 0 : place_->logs());
  db_options.create_if_missing = create;
  db_options.create_missing_column_families = create;
  db_options.listeners.push_back(full_disk_);
  if (!read_only && place_->bytes() > many_tables * table_size(options_)) {
    db_options.max_file_opening_threads = 2;
  }
  auto descriptors = family_descriptors(options_, filters_);
  for (auto& descriptor : descriptors) descriptor.options.sst_partitioner_factory = cuts_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const std::string& name = place_->database();
  // RocksDB 7.8.3 ends the process when this file is damaged.
  std::string identity;
  const auto identified = rocksdb::ReadFileToString(env_.get(), name + "/IDENTITY", &identity);
  if (identified.IsCorruption()) return std::unexpected(refused(identified));
  const auto status =
      read_only ? rocksdb::DB::OpenForReadOnly(db_options, name, descriptors, &handles, &db)
                : rocksdb::DB::Open(db_options, name, descriptors, &handles, &db);
  if (!status.ok()) return std::unexpected(refused(status));
  db_.reset(db);
  // RocksDB has made its timer by now, whose destructor waits for a thread.
  skip_destructors_in_forked_child();
  std::ranges::copy(handles, families_.begin());
  return {};
}

Error EmbeddedEngine::refused(const rocksdb::Status& status) const {
  Error error = to_error(status, "opening " + place_->name());
  if (error.code == ErrorCode::damaged) {
    error.message = fmt::format("{} is damaged: {}. Nothing was changed. {}", place_->name(),
                                status.ToString(), place_->advice_on_damage());
  }
  return error;
}

Result<void> EmbeddedEngine::read_meta() {
  auto format = get_meta_number(model::format_row);
  if (!format) return pass(format);
  auto opening = get_meta_number(model::opening_row);
  if (!opening) return pass(opening);
  if (!*format || !*opening) {
    return fail(ErrorCode::damaged, "{} lacks the rows that say what it is; restore a backup",
                place_->name());
  }
  if (**format > store_format) {
    return fail(ErrorCode::newer_format,
                "{} has format {}, and this version of Once ({}) knows formats up to {}; use a "
                "newer version",
                place_->name(), **format, version, store_format);
  }
  auto unfinished = get(meta_table, model::unfinished_row);
  if (!unfinished) return pass(unfinished);
  if (*unfinished && !importing_) {
    return fail(
        ErrorCode::not_a_store,
        "{} is a copy that was not finished, and lacks rows; make it anew from what it is a "
        "copy of",
        place_->name());
  }
  opening_ = **opening;
  auto gap = get_meta_number(model::history_gap_row);
  if (!gap) return pass(gap);
  history_gap_ = gap->value_or(0);
  auto outbox_from = get_meta_number(model::outbox_from_row);
  if (!outbox_from) return pass(outbox_from);
  outbox_from_ = outbox_from->value_or(0);
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

Result<void> EmbeddedEngine::start_writing() {
  const bool fresh = place_->fresh();
  if (fresh) {
    const auto id = random_id();
    const ByteView id_bytes(reinterpret_cast<const char*>(id.data()), id.size());
    if (auto put = put_meta(model::store_id_row, id_bytes, false); !put) return put;
    if (auto put = put_meta(model::format_row, model::encode_u64(store_format), false); !put) {
      return put;
    }
    if (importing_) {
      if (auto put = put_meta(model::unfinished_row, "1", false); !put) return put;
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
      return std::unexpected(to_error(status, "raising the opening number of " + place_->name()));
    }
    clock_->set_marked(mark.time);
    clock_->set_durable(mark.time);
    return {};
  });
  const std::uint64_t next = opening_ + 1 + (*restored ? restored_leap : 0);
  if (auto raised = numbering_->raise(next); !raised) return raised;
  if (fresh) {
    if (auto marked = place_->mark_created(); !marked) return marked;
  }
  for (const auto& filter : filters_) {
    if (filter) filter->set_clock(clock_);
  }
  queue_ = std::make_unique<CommitQueue>(*db_, families_, *numbering_, place_->name(), full_disk_);
  return {};
}

Result<void> EmbeddedEngine::close() {
  auto closed = close_database();
  env_.reset();
  place_->unlock();
  return closed;
}

Result<void> EmbeddedEngine::close_database() {
  if (!db_) return {};
  const FullDisk::Hurry hurry(*full_disk_);
  Result<void> closed;
  save_tallies();
  if (queue_ && clock_->now() - clock_->marked() >= std::chrono::seconds(1)) {
    // A poisoned store refuses; its mark is then a little older, which only delays expiry.
    closed = mark_past(clock_->now());
    if (!closed && closed.error().code == ErrorCode::no_space) closed = {};
  }
  const bool in_order = queue_ && !queue_->poisoned();
  if (in_order) shorten_logs();
  queue_.reset();
  drop_families();
  const auto status = db_->Close();
  if (!status.ok() && closed) {
    closed = std::unexpected(to_error(status, "closing " + place_->name()));
  }
  db_.reset();
  if (in_order && closed) closed = place_->note_closed();
  return closed;
}

void EmbeddedEngine::shorten_logs() {
  const auto unflushed = [this] { return unflushed_bytes(); };
  if (place_->knows_room() && place_->bytes() < bytes_with_whole_reserve) return;
  if (unflushed() < unflushed_at_close || full_disk_->stopped()) return;
  if (place_->admit_flush(unflushed)) (void)flush();
}

Result<void> EmbeddedEngine::move_to(const std::string& path) {
  return place_->move_to(path);
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
