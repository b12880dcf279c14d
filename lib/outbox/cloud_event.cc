#include "outbox/cloud_event.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

namespace once::outbox {
namespace {

using nlohmann::json;

bool is_small(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

char to_small(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
  std::string small(text);
  std::ranges::transform(small, small.begin(), to_small);
  return small;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// `text` as a JSON string, or nothing if it is not UTF-8.
std::string json_text(std::string_view text) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    return {};
  }
}

// A value that can stand in an attribute.
std::string as_text(const std::string& value) {
  if (std::ranges::none_of(value, is_control) && !json_text(value).empty()) return value;
  return header_value(value);
}

// RFC 3339, in UTC.
std::string timestamp(Time time) {
  // Before the first day that can be counted there is none to round down to.
  time = std::max(time, Time::min() + std::chrono::days(1));
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

const std::string* content_type_of(const Event& event) {
  for (const auto& [name, value] : event.headers) {
    if (lower(name) == "content-type" && !value.empty()) return &value;
  }
  return nullptr;
}

bool says_json(std::string_view content_type) {
  const std::string media = lower(content_type.substr(0, content_type.find(';')));
  const std::size_t end = media.find_last_not_of(' ') + 1;
  const std::string_view trimmed = std::string_view(media).substr(0, end);
  return trimmed == "application/json" || trimmed == "text/json" || trimmed.ends_with("+json");
}

// Whether `text` can stand in JSON as it is. The parser walks it without recursion, however deep it
// is nested; but it passes over a byte order mark, and takes a NUL for the end.
bool is_json(std::string_view text) {
  return !text.starts_with("\xef\xbb\xbf") && text.find('\0') == std::string_view::npos &&
         json::accept(text);
}

void add_data(const Event& event, CloudEvent& made) {
  using Data = CloudEvent::Data;
  const std::string* given = content_type_of(event);
  if (given != nullptr) made.content_type = as_text(*given);
  if (event.payload.empty() && given == nullptr) return;
  if ((given == nullptr || says_json(*given)) && is_json(event.payload)) {
    made.data = Data::json;
    if (given == nullptr) made.content_type = "application/json";
  } else if ((given == nullptr || !says_json(*given)) && !json_text(event.payload).empty()) {
    made.data = Data::text;
    if (given == nullptr) made.content_type = "text/plain; charset=utf-8";
  } else {
    made.data = Data::binary;
    if (given == nullptr) made.content_type = "application/octet-stream";
  }
}

void add_headers(const Event& event, CloudEvent& made) {
  std::set<std::string> taken = {"id",
                                 "source",
                                 "type",
                                 "specversion",
                                 "time",
                                 "subject",
                                 "data",
                                 "dataschema",
                                 "sequence",
                                 "database64",
                                 "datacontenttype",
                                 "aggregatetype",
                                 "aggregateid"};
  for (const auto& [name, value] : event.headers) {
    if (value.empty() || lower(name) == "content-type") continue;
    std::string attribute = lower(name);
    std::erase_if(attribute, [](char c) { return !is_small(c); });
    while (attribute.empty() || taken.contains(attribute)) attribute.insert(0, "x");
    taken.insert(attribute);
    made.attributes.emplace_back(std::move(attribute), as_text(value));
  }
}

}  // namespace

std::string header_value(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string base64(ByteView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

CloudEvent to_cloud_event(const Event& event, const std::string& source) {
  CloudEvent made;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) made.attributes.emplace_back(name, as_text(value));
  };
  add("specversion", "1.0");
  add("id", event.id);
  add("source", source.empty() ? "/once" : source);
  add("type", event.type.empty() ? "event" : event.type);
  add("subject", event.aggregate_id);
  add("time", timestamp(event.created_at));
  add("aggregatetype", event.aggregate_type);
  add("aggregateid", event.aggregate_id);
  add("sequence", fmt::format("{:020}", event.sequence));
  add_headers(event, made);
  add_data(event, made);
  return made;
}

std::string to_json(const Event& event, const std::string& source) {
  const CloudEvent made = to_cloud_event(event, source);
  std::string text;
  for (const auto& [name, value] : made.attributes) {
    text += text.empty() ? "{\"" : ",\"";
    text += name + "\":" + json_text(value);
  }
  if (!made.content_type.empty()) text += ",\"datacontenttype\":" + json_text(made.content_type);
  switch (made.data) {
    case CloudEvent::Data::none:
      break;
    case CloudEvent::Data::json: {
      // As it is, down to the spelling of its numbers. A line break can only stand between tokens.
      std::string line = event.payload;
      std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\r'; }, ' ');
      text += ",\"data\":" + line;
      break;
    }
    case CloudEvent::Data::text:
      text += ",\"data\":" + json_text(event.payload);
      break;
    case CloudEvent::Data::binary:
      text += ",\"data_base64\":\"" + base64(event.payload) + '"';
      break;
  }
  return text + '}';
}

}  // namespace once::outbox
