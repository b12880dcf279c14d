#include "json.h"

#include <algorithm>

#include "text.h"

namespace once::tool {
namespace {

Json time_json(Time time) {
  return time.time_since_epoch().count();
}

Json digest_json(const std::optional<Fingerprint>& digest) {
  return digest ? Json(to_hex(digest->digest)) : Json(nullptr);
}

Json holder_json(const Holder& holder) {
  if (holder == Holder{}) return nullptr;
  return {{"boot", to_hex(holder.boot)},
          {"pid_namespace", holder.pid_namespace},
          {"pid", holder.pid},
          {"start_time", holder.start_time}};
}

Json map_json(const std::map<std::string, std::string>& map) {
  const bool as_object =
      std::ranges::all_of(map, [](const auto& member) { return is_utf8(member.first); });
  Json json = as_object ? Json::object() : Json::array();
  for (const auto& [name, value] : map) {
    if (as_object) {
      json[name] = text_json(value);
    } else {
      json.push_back(Json::array({text_json(name), text_json(value)}));
    }
  }
  return json;
}

Json fields_json(const std::vector<FieldDigest>& fields) {
  std::map<std::string, std::string> digests;
  for (const FieldDigest& field : fields) digests[field.name] = to_hex(field.digest);
  return map_json(digests);
}

Json row_json(const StoreRow& row) {
  Json json = {{"table", "store"}, {"format", row.format}, {"opening", row.opening}};
  // Only where history was ever switched off.
  if (row.history_gap != 0) json["history_gap"] = row.history_gap;
  return json;
}

// `fields` with the name of their table in front.
Json in_table(Table table, const Json& fields) {
  Json json = {{"table", to_string(table)}};
  json.update(fields);
  return json;
}

Json row_json(const KeyRow& row) {
  return in_table(Table::keys, to_json(row.key, row.record));
}

Json row_json(const ResultRow& row) {
  return {{"table", to_string(Table::results)},
          {"key", row.key.to_string()},
          {"token", row.token.value},
          {"expires_at", time_json(row.expires_at)},
          {"outcome", to_json(row.outcome)}};
}

Json row_json(const CheckpointRow& row) {
  return {{"table", to_string(Table::checkpoints)},
          {"key", row.key.to_string()},
          {"name", text_json(row.checkpoint.name)},
          {"data", bytes_json(row.checkpoint.data)},
          {"token", row.checkpoint.token.value},
          {"sequence", row.checkpoint.sequence},
          {"created_at", time_json(row.checkpoint.created_at)}};
}

Json row_json(const Event& event) {
  return in_table(Table::outbox, to_json(event));
}

Json row_json(const HistoryEntry& entry) {
  return in_table(Table::history, to_json(entry));
}

Json row_json(const DataRow& row) {
  return {{"table", to_string(Table::data)},
          {"key", bytes_json(row.key)},
          {"value", bytes_json(row.value)}};
}

}  // namespace

Json bytes_json(ByteView bytes) {
  if (is_utf8(bytes)) return {{"text", bytes}};
  return {{"base64", to_base64(bytes)}};
}

Json text_json(ByteView text) {
  return is_utf8(text) ? Json(text) : bytes_json(text);
}

Json to_json(const Key& key, const Record& record) {
  Json json = {{"key", key.to_string()},
               {"status", to_string(record.status)},
               {"on_abandon", to_string(record.on_abandon)},
               {"token", record.token.value},
               {"origin", record.origin.value},
               {"attempt", record.attempt},
               {"created_at", time_json(record.created_at)},
               {"updated_at", time_json(record.updated_at)},
               {"lease_until", time_json(record.lease_until)},
               {"expires_at", time_json(record.expires_at)},
               {"retention", record.retention.count()},
               {"holder", holder_json(record.holder)},
               {"fingerprint", digest_json(record.fingerprint)},
               {"outcome", digest_json(record.outcome)},
               {"last_history", record.last_history}};
  // Only of a question that came with some.
  if (!record.fields.empty()) json["fields"] = fields_json(record.fields);
  return json;
}

Json to_json(const Event& event) {
  Json json = {{"sequence", event.sequence},
               {"id", text_json(event.id)},
               {"aggregate_type", text_json(event.aggregate_type)},
               {"aggregate_id", text_json(event.aggregate_id)},
               {"type", text_json(event.type)},
               {"payload", bytes_json(event.payload)},
               {"headers", map_json(event.headers)},
               {"metadata", map_json(event.metadata)},
               {"status", to_string(event.status)},
               {"retries", event.retries},
               {"created_at", time_json(event.created_at)},
               {"published_at", time_json(event.published_at)},
               {"expires_at", time_json(event.expires_at)}};
  // Left by an attempt that failed; earlier versions of Once know neither.
  if (event.next_attempt_at != Time{}) json["next_attempt_at"] = time_json(event.next_attempt_at);
  if (!event.last_error.empty()) json["last_error"] = text_json(event.last_error);
  return json;
}

Json to_json(const HistoryEntry& entry) {
  return {{"sequence", entry.sequence},        {"previous", entry.previous},
          {"time", time_json(entry.time)},     {"deadline", time_json(entry.deadline)},
          {"key", entry.key.to_string()},      {"what", to_string(entry.what)},
          {"status", to_string(entry.status)}, {"token", entry.token.value},
          {"attempt", entry.attempt},          {"holder", holder_json(entry.holder)},
          {"note", text_json(entry.note)}};
}

Json to_json(const Outcome& outcome) {
  return {{"kind", to_string(outcome.kind)},
          {"value", outcome.value ? bytes_json(*outcome.value) : Json(nullptr)},
          {"code", text_json(outcome.code)},
          {"message", text_json(outcome.message)},
          {"content_type", text_json(outcome.content_type)},
          {"omitted_bytes", outcome.omitted_bytes}};
}

Json to_json(const Row& row) {
  return std::visit([](const auto& one) { return row_json(one); }, row);
}

Json to_json(const DumpEnd& end) {
  return {{"table", "end"}, {"rows", end.rows}};
}

std::string to_line(const Json& json) {
  return json.dump();
}

}  // namespace once::tool
