#include "row_text.h"

#include <fmt/format.h>

#include "text.h"

namespace once::tool {
namespace {

constexpr std::size_t preview_bytes = 60;
constexpr std::size_t table_width = 12;

std::string head(const Output& out, std::string_view table, std::string_view key) {
  return fmt::format("{}{}", out.paint(Colour::bold, pad(table, table_width)), key);
}

std::string value_text(const std::optional<Bytes>& value) {
  if (!value) return "null";
  return fmt::format("{} '{}'", counted(value->size(), "byte"), preview(*value, preview_bytes));
}

std::string one_row(const Output& out, const StoreRow& row) {
  return head(
      out, "store",
      fmt::format("format {}, opened {} for writing", row.format, counted(row.opening, "time")));
}

std::string one_row(const Output& out, const KeyRow& row) {
  const Record& record = row.record;
  return head(out, "keys",
              fmt::format("{}  {}, attempt {}, token {}, expires {}, {}", row.key.to_string(),
                          to_string(record.status), record.attempt, record.token.value,
                          format_time(record.expires_at), to_string(record.holder)));
}

std::string one_row(const Output& out, const ResultRow& row) {
  const Outcome& outcome = row.outcome;
  std::string text = fmt::format("{}  {}, ", row.key.to_string(), to_string(outcome.kind));
  if (!outcome.code.empty()) text += fmt::format("code {}, ", printable(outcome.code));
  if (!outcome.message.empty()) {
    text += fmt::format("'{}', ", preview(outcome.message, preview_bytes));
  }
  text += outcome.omitted_bytes == 0
              ? value_text(outcome.value)
              : fmt::format("{}, too many to keep", counted(outcome.omitted_bytes, "byte"));
  return head(out, "results", text);
}

std::string one_row(const Output& out, const CheckpointRow& row) {
  return head(out, "checkpoints",
              fmt::format("{}  {} at {}, {}", row.key.to_string(), printable(row.checkpoint.name),
                          format_time(row.checkpoint.created_at), value_text(row.checkpoint.data)));
}

std::string one_row(const Output& out, const Event& event) {
  return head(out, "outbox", event_text(out, event));
}

std::string one_row(const Output& out, const HistoryEntry& entry) {
  return head(out, "history", history_text(out, entry));
}

std::string one_row(const Output& out, const DataRow& row) {
  return head(out, "data",
              fmt::format("{}  {}", preview(row.key, preview_bytes), value_text(row.value)));
}

Colour colour_of(EventStatus status) {
  switch (status) {
    case EventStatus::pending:
      return Colour::yellow;
    case EventStatus::delivered:
      return Colour::green;
    case EventStatus::dead:
      return Colour::red;
  }
  return Colour::none;
}

Colour colour_of(What what) {
  switch (what) {
    case What::completed:
      return Colour::green;
    case What::taken_over:
    case What::resolved:
      return Colour::yellow;
    case What::failed:
    case What::in_doubt:
      return Colour::red;
    case What::released:
    case What::removed:
      return Colour::dim;
    case What::reserved:
      return Colour::none;
  }
  return Colour::none;
}

}  // namespace

std::string row_text(const Output& out, const Row& row) {
  return std::visit([&](const auto& one) { return one_row(out, one); }, row);
}

std::string event_text(const Output& out, const Event& event) {
  std::string text = fmt::format(
      "{} {} {} {}", event.sequence, format_time(event.created_at),
      out.paint(colour_of(event.status), pad(to_string(event.status), 9)), printable(event.type));
  if (!event.aggregate_type.empty() || !event.aggregate_id.empty()) {
    text +=
        fmt::format(" of {}/{}", printable(event.aggregate_type), printable(event.aggregate_id));
  }
  if (event.retries != 0) text += fmt::format(", retried {}", counted(event.retries, "time"));
  text += ", " + value_text(event.payload);
  if (event.next_attempt_at != Time{}) text += ", next " + format_time(event.next_attempt_at);
  if (!event.last_error.empty()) text += ": " + printable(event.last_error);
  return text;
}

std::string history_text(const Output& out, const HistoryEntry& entry) {
  std::string text =
      fmt::format("{} {} {}  token {}, attempt {}, {}", format_time(entry.time),
                  out.paint(colour_of(entry.what), pad(to_string(entry.what), 10)),
                  entry.key.to_string(), entry.token.value, entry.attempt, to_string(entry.holder));
  if (!entry.note.empty()) text += ": " + printable(entry.note);
  return text;
}

}  // namespace once::tool
