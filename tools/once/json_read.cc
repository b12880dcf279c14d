// The reading half of json.h: Fields takes the members of one object, notes the first thing that is
// wrong, and knows at the end whether there was a member too many. So each kind of row reads as a
// list of its members, and asks once.
#include <algorithm>
#include <initializer_list>
#include <limits>
#include <set>
#include <vector>

#include "base/error.h"
#include "json.h"
#include "text.h"

namespace once::tool {
namespace {

class Fields {
 public:
  // `where` is put before the names of members in messages, e.g. "outcome.".
  explicit Fields(const Json& json, std::string where = "")
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) {
      wrong_ = where_.empty()
                   ? "a row must be an object"
                   : fmt::format("'{}' must be an object", where_.substr(0, where_.size() - 1));
    }
  }

  template <class T>
  T number(const char* name) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    if constexpr (std::is_unsigned_v<T>) {
      if (member->is_number_unsigned() &&
          member->get<std::uint64_t>() <= std::numeric_limits<T>::max()) {
        return member->get<T>();
      }
    } else {
      if (member->is_number_unsigned() ? member->get<std::uint64_t>() <= INT64_MAX
                                       : member->is_number_integer()) {
        return member->get<T>();
      }
    }
    return must<T>(name, fmt::format("a whole number from {} to {}", std::numeric_limits<T>::min(),
                                     std::numeric_limits<T>::max()));
  }

  // Of a member that is left out when it says nothing.
  [[nodiscard]] bool has(const char* name) const {
    return json_.is_object() && json_.contains(name);
  }

  Time time(const char* name) { return Time(Duration(number<std::int64_t>(name))); }
  Duration duration(const char* name) { return Duration(number<std::int64_t>(name)); }
  Token token(const char* name) { return {number<std::uint64_t>(name)}; }

  std::string text(const char* name) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    auto read = text_of(*member);
    return read ? *std::move(read)
                : must<std::string>(name, R"(a string, or {"base64": "..."} that is right)");
  }

  Bytes bytes(const char* name) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    auto read = bytes_of(*member);
    return read ? *std::move(read)
                : must<Bytes>(name, R"({"text": "..."} or {"base64": "..."} that is right)");
  }

  std::optional<Bytes> bytes_or_null(const char* name) {
    if (take_null(name)) return std::nullopt;
    return bytes(name);
  }

  Key key(const char* name) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    if (!member->is_string()) return must<Key>(name, "a string, the written form of a key");
    auto read = Key::parse(member->get_ref<const std::string&>());
    if (!read) {
      note(fmt::format("'{}{}': {}", where_, name, read.error().message));
      return {};
    }
    return *std::move(read);
  }

  std::optional<Fingerprint> digest_or_null(const char* name) {
    if (take_null(name)) return std::nullopt;
    Fingerprint digest;
    hex(name, digest.digest);
    return digest;
  }

  std::vector<FieldDigest> field_digests(const char* name) {
    const std::string be = "names, at least one, each with 16 hexadecimal digits (0-9, a-f)";
    std::vector<FieldDigest> fields;
    for (const auto& [field_name, digits] : map(name)) {
      FieldDigest& field = fields.emplace_back(FieldDigest{.name = field_name});
      if (!from_hex(digits, field.digest)) return must<std::vector<FieldDigest>>(name, be);
    }
    return fields.empty() ? must<std::vector<FieldDigest>>(name, be) : fields;
  }

  void hex(const char* name, std::span<std::uint8_t> bytes) {
    const Json* member = take(name);
    if (member == nullptr) return;
    if (!member->is_string() || !from_hex(member->get_ref<const std::string&>(), bytes)) {
      must<int>(name, fmt::format("{} hexadecimal digits (0-9, a-f)", 2 * bytes.size()));
    }
  }

  template <class E>
  E choice(const char* name, std::initializer_list<E> choices) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    std::string names;
    for (const E one : choices) {
      if (member->is_string() && member->get_ref<const std::string&>() == to_string(one)) {
        return one;
      }
      names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(one));
    }
    return must<E>(name, "one of " + names);
  }

  std::map<std::string, std::string> map(const char* name) {
    const Json* member = take(name);
    std::map<std::string, std::string> read;
    if (member == nullptr) return read;
    bool good = member->is_object() || member->is_array();
    for (const auto& [index, value] : member->items()) {
      if (!good) break;
      const bool pair = value.is_array() && value.size() == 2;
      const auto first = member->is_object() ? std::optional(index)
                         : pair              ? text_of(value[0])
                                             : std::nullopt;
      const auto second = text_of(member->is_object() || !pair ? value : value[1]);
      good = first && second && read.emplace(*first, *second).second;
    }
    return good ? read
                : must<std::map<std::string, std::string>>(
                      name, "an object of strings, or an array of [name, value]");
  }

  Holder holder(const char* name) {
    if (take_null(name)) return {};
    return within<Holder>(name, [](Fields& in) {
      Holder holder;
      in.hex("boot", holder.boot);
      holder.pid_namespace = in.number<std::uint64_t>("pid_namespace");
      holder.pid = in.number<std::uint32_t>("pid");
      holder.start_time = in.number<std::uint64_t>("start_time");
      return holder;
    });
  }

  // Reads the object `name` by its own members.
  template <class T, class Read>
  T within(const char* name, Read read) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    Fields inner(*member, fmt::format("{}{}.", where_, name));
    T value = read(inner);
    note(inner.problem());
    return value;
  }

  // What is wrong, or empty.
  [[nodiscard]] std::string problem() const {
    if (!wrong_.empty()) return wrong_;
    for (const auto& [name, value] : json_.items()) {
      if (!taken_.contains(name)) {
        return fmt::format("there is no member '{}{}' in this kind of row", where_, name);
      }
    }
    return "";
  }

  template <class T>
  T must(const char* name, const std::string& be) {
    note(fmt::format("'{}{}' must be {}", where_, name, be));
    return {};
  }

  // The member `name`, or nullptr when there is none, which is noted.
  const Json* take(const char* name) {
    if (!wrong_.empty()) return nullptr;
    taken_.insert(name);
    const auto found = json_.find(name);
    if (found != json_.end()) return &*found;
    note(fmt::format("the member '{}{}' is missing", where_, name));
    return nullptr;
  }

 private:
  static std::optional<Bytes> bytes_of(const Json& json) {
    if (!json.is_object() || json.size() != 1) return std::nullopt;
    const Json& value = json.front();
    if (!value.is_string()) return std::nullopt;
    if (json.contains("text")) return value.get<std::string>();
    return json.contains("base64") ? from_base64(value.get_ref<const std::string&>())
                                   : std::nullopt;
  }

  static std::optional<std::string> text_of(const Json& json) {
    return json.is_string() ? std::optional(json.get<std::string>()) : bytes_of(json);
  }

  bool take_null(const char* name) {
    const auto found = json_.is_object() ? json_.find(name) : json_.end();
    if (found == json_.end() || !found->is_null()) return false;
    taken_.insert(name);
    return true;
  }

  void note(std::string problem) {
    if (wrong_.empty()) wrong_ = std::move(problem);
  }

  const Json& json_;
  const std::string where_;
  std::set<std::string> taken_;
  std::string wrong_;
};

constexpr auto statuses = {Status::in_progress, Status::completed, Status::failed, Status::in_doubt,
                           Status::released};

StoreRow read_store(Fields& in) {
  StoreRow row;
  row.format = in.number<std::uint32_t>("format");
  row.opening = in.number<std::uint64_t>("opening");
  if (in.has("history_gap")) row.history_gap = in.number<std::uint64_t>("history_gap");
  return row;
}

KeyRow read_key(Fields& in) {
  KeyRow row;
  row.key = in.key("key");
  Record& record = row.record;
  record.status = in.choice("status", statuses);
  record.on_abandon = in.choice("on_abandon", {OnAbandon::in_doubt, OnAbandon::rerun});
  record.token = in.token("token");
  record.origin = in.token("origin");
  record.attempt = in.number<std::uint32_t>("attempt");
  record.created_at = in.time("created_at");
  record.updated_at = in.time("updated_at");
  record.lease_until = in.time("lease_until");
  record.expires_at = in.time("expires_at");
  record.retention = in.duration("retention");
  record.holder = in.holder("holder");
  record.fingerprint = in.digest_or_null("fingerprint");
  if (in.has("fields")) record.fields = in.field_digests("fields");
  record.outcome = in.digest_or_null("outcome");
  record.last_history = in.number<std::uint64_t>("last_history");
  return row;
}

Outcome read_outcome(Fields& in) {
  Outcome outcome;
  outcome.kind = in.choice("kind", {OutcomeKind::success, OutcomeKind::failure,
                                    OutcomeKind::timeout, OutcomeKind::killed});
  outcome.value = in.bytes_or_null("value");
  outcome.code = in.text("code");
  outcome.message = in.text("message");
  outcome.content_type = in.text("content_type");
  outcome.omitted_bytes = in.number<std::uint64_t>("omitted_bytes");
  return outcome;
}

ResultRow read_result(Fields& in) {
  ResultRow row;
  row.key = in.key("key");
  row.token = in.token("token");
  row.expires_at = in.time("expires_at");
  row.outcome = in.within<Outcome>("outcome", read_outcome);
  return row;
}

CheckpointRow read_checkpoint(Fields& in) {
  CheckpointRow row;
  row.key = in.key("key");
  row.checkpoint.name = in.text("name");
  row.checkpoint.data = in.bytes("data");
  row.checkpoint.token = in.token("token");
  row.checkpoint.sequence = in.number<std::uint64_t>("sequence");
  row.checkpoint.created_at = in.time("created_at");
  return row;
}

Event read_event(Fields& in) {
  Event event;
  event.sequence = in.number<std::uint64_t>("sequence");
  event.id = in.text("id");
  event.aggregate_type = in.text("aggregate_type");
  event.aggregate_id = in.text("aggregate_id");
  event.type = in.text("type");
  event.payload = in.bytes("payload");
  event.headers = in.map("headers");
  event.metadata = in.map("metadata");
  event.status =
      in.choice("status", {EventStatus::pending, EventStatus::delivered, EventStatus::dead});
  event.retries = in.number<std::uint32_t>("retries");
  event.created_at = in.time("created_at");
  event.published_at = in.time("published_at");
  event.expires_at = in.time("expires_at");
  if (in.has("next_attempt_at")) event.next_attempt_at = in.time("next_attempt_at");
  if (in.has("last_error")) event.last_error = in.text("last_error");
  return event;
}

HistoryEntry read_history(Fields& in) {
  HistoryEntry entry;
  entry.sequence = in.number<std::uint64_t>("sequence");
  entry.previous = in.number<std::uint64_t>("previous");
  entry.time = in.time("time");
  entry.deadline = in.time("deadline");
  entry.key = in.key("key");
  entry.what = in.choice("what", {What::reserved, What::taken_over, What::completed, What::failed,
                                  What::released, What::in_doubt, What::resolved, What::removed});
  entry.status = in.choice("status", statuses);
  entry.token = in.token("token");
  entry.attempt = in.number<std::uint32_t>("attempt");
  entry.holder = in.holder("holder");
  entry.note = in.text("note");
  return entry;
}

DataRow read_data(Fields& in) {
  DataRow row;
  row.key = in.bytes("key");
  row.value = in.bytes("value");
  return row;
}

DumpEnd read_end(Fields& in) {
  return {.rows = in.number<std::uint64_t>("rows")};
}

Row read_row(Fields& in, const std::string& table) {
  if (table == "store") return read_store(in);
  if (table == to_string(Table::keys)) return read_key(in);
  if (table == to_string(Table::results)) return read_result(in);
  if (table == to_string(Table::checkpoints)) return read_checkpoint(in);
  if (table == to_string(Table::outbox)) return read_event(in);
  if (table == to_string(Table::history)) return read_history(in);
  if (table == to_string(Table::data)) return read_data(in);
  return in.must<StoreRow>("table",
                           "one of store, keys, results, checkpoints, outbox, history, data, end");
}

DumpLine read_line(Fields& in) {
  const std::string table = in.text("table");
  if (table == "end") return read_end(in);
  return read_row(in, table);
}

}  // namespace

Result<DumpLine> parse_line(std::string_view text) {
  // The parser keeps only one of two members with the same name, so they are counted as they pass.
  std::vector<std::set<std::string>> open;
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
      twice = value.get<std::string>();
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(text, watch);
  } catch (const Json::parse_error& error) {
    return fail(ErrorCode::invalid_argument, "no JSON, at byte {} of the line", error.byte);
  } catch (const Json::exception& error) {
    return fail(ErrorCode::invalid_argument, "no JSON: {}", error.what());
  }
  if (!twice.empty()) {
    return fail(ErrorCode::invalid_argument, "the member '{}' stands there twice", twice);
  }
  Fields in(json);
  DumpLine line = read_line(in);
  if (std::string problem = in.problem(); !problem.empty()) {
    return fail(ErrorCode::invalid_argument, "{}", problem);
  }
  return line;
}

}  // namespace once::tool
