// Loader: a fresh store, filled beside its place and put there when it is whole.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/place.h"
#include "model/numbers.h"
#include "once/store.h"
#include "store/limit_checks.h"

namespace once {

class Loader::Impl {
 public:
  Impl(std::string place_of_store, std::string beside_it,
       std::unique_ptr<engine::EmbeddedEngine> engine_to_fill, Options opened_with)
      : place(std::move(place_of_store)),
        beside(std::move(beside_it)),
        engine(std::move(engine_to_fill)),
        options(std::move(opened_with)) {}

  ~Impl() {
    if (!engine) return;
    if (generation != fork_generation()) {
      (void)engine.release();  // the parent's; see Store::close()
      return;
    }
    (void)engine->close_database();
    // Under the lock still: whoever waits for it finds nothing in its place, and makes its own.
    std::error_code ignored;
    std::filesystem::remove_all(beside, ignored);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> write_pending() {
    if (pending.empty() || !written) return written;
    written = engine->import_rows(pending);
    pending.clear();
    pending_bytes = 0;
    return written;
  }

  const std::string place;
  const std::string beside;
  std::unique_ptr<engine::EmbeddedEngine> engine;  // null when finished
  const Options options;
  const std::uint32_t generation = fork_generation();
  std::vector<Row> pending;
  std::size_t pending_bytes = 0;
  Result<void> written;  // the first error: rows are missing since
};

namespace {

constexpr std::size_t rows_at_once = 1000;
constexpr std::size_t bytes_at_once = std::size_t{1} << 20;

std::size_t bytes_of(const Row& row) {
  if (const auto* result = std::get_if<ResultRow>(&row)) {
    return result->outcome.value ? result->outcome.value->size() : 0;
  }
  if (const auto* saved = std::get_if<CheckpointRow>(&row)) return saved->checkpoint.data.size();
  if (const auto* event = std::get_if<Event>(&row)) return event->payload.size();
  if (const auto* data = std::get_if<DataRow>(&row)) return data->value.size();
  return 0;
}

// Beyond these the arithmetic of tokens and times ends.
constexpr std::uint64_t most_openings = std::uint64_t{1} << 38;
constexpr Time latest = Time(std::chrono::hours(24 * 365 * 8000LL));

Result<void> check_opening(std::uint64_t opening) {
  if (opening < most_openings) return {};
  return fail(ErrorCode::invalid_argument, "an opening number of {}; no store was opened so often",
              opening);
}

Result<void> check_number(std::uint64_t number, Time time) {
  if (auto checked = check_opening(model::opening_of(number)); !checked) return checked;
  if (time >= Time{} && time <= latest) return {};
  return fail(ErrorCode::invalid_argument, "a time of {} ms; no clock says so",
              time.time_since_epoch().count());
}

Result<void> check_key_row(const KeyRow& row) {
  const Record& record = row.record;
  if (auto valid = row.key.validate(); !valid) return valid;
  if (auto checked = check_retention(record.retention); !checked) return checked;
  if (auto checked = check_fields(record.fields); !checked) return checked;
  if (!std::ranges::is_sorted(record.fields, {}, &FieldDigest::name)) {
    return fail(ErrorCode::invalid_argument, "key {} has its fields in another order than by name",
                row.key.to_string());
  }
  const bool keeps = record.status == Status::completed || record.status == Status::failed;
  if (keeps != record.outcome.has_value()) {
    return fail(ErrorCode::invalid_argument, "key {} is {} and {} an outcome", row.key.to_string(),
                to_string(record.status), keeps ? "has not" : "has");
  }
  return check_number(record.token.value, record.updated_at);
}

// The same limits as for whoever writes through the store.
Result<void> check_row(const Row& row, const Options& options) {
  if (const auto* store = std::get_if<StoreRow>(&row)) return check_opening(store->opening);
  if (const auto* key = std::get_if<KeyRow>(&row)) return check_key_row(*key);
  if (const auto* result = std::get_if<ResultRow>(&row)) {
    if (auto checked = result->key.validate(); !checked) return checked;
    return check_outcome(result->outcome, options);
  }
  if (const auto* entry = std::get_if<HistoryEntry>(&row)) {
    if (auto checked = entry->key.validate(); !checked) return checked;
    if (auto checked = check_reason(entry->note); !checked) return checked;
    return check_number(entry->sequence, entry->time);
  }
  if (const auto* event = std::get_if<Event>(&row)) {
    if (auto checked = check_event(*event, options); !checked) return checked;
    return check_number(event->sequence, event->created_at);
  }
  if (const auto* data = std::get_if<DataRow>(&row)) {
    if (auto checked = check_data_key(data->key); !checked) return checked;
    return check_data_value(data->value, options);
  }
  if (const auto* saved = std::get_if<CheckpointRow>(&row)) {
    if (auto checked = saved->key.validate(); !checked) return checked;
    auto number = check_number(saved->checkpoint.sequence, saved->checkpoint.created_at);
    if (!number) return number;
    return check_checkpoint(saved->checkpoint.name, saved->checkpoint.data, options);
  }
  return {};
}

// Removes what a copy in another layout has left beside the place, when it was killed.
Result<void> clear(const std::string& beside, const Options& options) {
  const auto left = engine::layout_at(beside);
  if (!left || *left == options.layout) return {};
  const auto place = engine::make_place(beside, {.options = options, .discard = true});
  if (auto opened = place->open_for_writing(); !opened) return opened;
  // Under the lock still; see ~Impl().
  std::error_code ignored;
  std::filesystem::remove_all(beside, ignored);
  return {};
}

// Nothing but what a copy has left that was killed may be thrown away for another one.
Result<void> check_left(const std::string& beside, Options options) {
  options.create_if_missing = false;
  options.read_only = true;
  auto there = engine::EmbeddedEngine::open(beside, {.options = options});
  if (there) {
    return fail(ErrorCode::invalid_argument,
                "{} is a whole store, and the place in which the copy would be made; move it away, "
                "or remove it if it is a copy of yours that did not get its name",
                beside);
  }
  const ErrorCode code = there.error().code;
  if (code == ErrorCode::store_missing || code == ErrorCode::not_a_store) return {};
  there.error().message += fmt::format(
      ". {} is where the copy would be made: if nobody needs it, move it away or remove it",
      beside);
  return pass(there);
}

}  // namespace

Loader::Loader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;
Loader::~Loader() = default;

Result<Loader> Loader::create(std::string_view where, const Options& options) {
  std::string place(where);
  while (place.size() > 1 && place.back() == '/') place.pop_back();
  if (place.empty() || where == "memory:" || where.find("://") != std::string_view::npos ||
      where.find('\0') != std::string_view::npos) {
    return fail(
        ErrorCode::invalid_argument,
        "a store is made of rows at a path only; give the path of a fresh store, not \"{}\"",
        escape(where));
  }
  std::error_code error;
  const bool there = std::filesystem::exists(std::filesystem::symlink_status(place, error));
  if (there &&
      !(std::filesystem::is_directory(place, error) && std::filesystem::is_empty(place, error))) {
    return fail(ErrorCode::invalid_argument,
                "{} is there already; give a path where nothing is, so that nothing is overwritten",
                place);
  }
  Options fresh = options;
  fresh.read_only = false;
  fresh.damaged_log = DamagedLog::refuse;
  fresh.create_if_missing = true;
  // What another store took, this one takes: its limits may have been larger.
  fresh.max_outcome_bytes = std::numeric_limits<std::uint32_t>::max();
  fresh.max_event_bytes = std::numeric_limits<std::uint32_t>::max();
  if (there) fresh.layout = Layout::directory;
  const std::string beside = place + ".partial";
  if (auto checked = check_left(beside, fresh); !checked) return pass(checked);
  if (auto cleared = clear(beside, fresh); !cleared) return pass(cleared);
  auto engine = engine::EmbeddedEngine::open(beside, {.options = fresh, .discard = true});
  if (!engine) return pass(engine);
  return Loader(std::make_unique<Impl>(place, beside, std::move(*engine), fresh));
}

Result<void> Loader::add(const Row& row) {
  if (!impl_ || !impl_->engine) {
    return fail(ErrorCode::closed, "the loader has finished; create another one");
  }
  if (!impl_->written) return impl_->written;
  if (auto checked = check_row(row, impl_->options); !checked) return checked;
  impl_->pending.push_back(row);
  impl_->pending_bytes += bytes_of(row);
  if (impl_->pending.size() < rows_at_once && impl_->pending_bytes < bytes_at_once) return {};
  return impl_->write_pending();
}

Result<void> Loader::finish() {
  if (!impl_ || !impl_->engine) {
    return fail(ErrorCode::closed, "the loader has finished; create another one");
  }
  if (auto written = impl_->write_pending(); !written) return written;
  if (auto finished = impl_->engine->finish_import(); !finished) return finished;
  if (auto closed = impl_->engine->close_database(); !closed) return closed;
  if (auto moved = impl_->engine->move_to(impl_->place); !moved) return moved;
  impl_->engine.reset();
  return {};
}

}  // namespace once
