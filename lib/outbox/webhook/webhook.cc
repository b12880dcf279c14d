// The publisher that posts events, by libcurl.
#include "once/webhook.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "once/version.h"
#include "outbox/cloud_event.h"
#include "outbox/webhook/curl_library.h"
#include "outbox/webhook/signature.h"
#include "outbox/webhook/url.h"

namespace once {
namespace {

constexpr int most_redirects = 5;
// What is kept of an answer, for messages.
constexpr std::size_t answer_bytes = 200;

bool is_token(std::string_view name) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(c) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string small(text);
  for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return small;
}

bool is_printable(char c) {
  return (c >= 0x20 && c < 0x7f) || c == '\t';
}

Result<void> check_header(const std::string& name, const std::string& value) {
  if (!is_token(name)) {
    return fail(ErrorCode::invalid_argument, "'{}' cannot be the name of an HTTP header",
                escape(name));
  }
  const std::string small = lower(name);
  for (const std::string_view own : {"host", "content-length", "content-type", "transfer-encoding",
                                     "connection", "expect", "user-agent"}) {
    if (small == own) {
      return fail(ErrorCode::invalid_argument, "the header {} is set by the request itself", name);
    }
  }
  if (small.starts_with("ce-") || small.starts_with("webhook-")) {
    return fail(ErrorCode::invalid_argument,
                "the header {} would be taken for one of the event's; use another name", name);
  }
  if (value.empty() || !std::ranges::all_of(value, is_printable)) {
    return fail(ErrorCode::invalid_argument,
                "the value of the header {} is empty, or has characters in it that no header may "
                "have",
                name);
  }
  return {};
}

// Text from a stranger, for a message.
std::string harmless(std::string text) {
  std::ranges::replace_if(text, [](char c) { return !is_printable(c); }, '.');
  return text;
}

struct Answer {
  CURLcode code = CURLE_OK;
  long status = 0;
  bool whole_head = false;
  std::string begin{};  // of its body
  std::string redirect{};
  std::string trouble{};  // curl's own words
};

class Headers {
 public:
  explicit Headers(const outbox::CurlLibrary& library) : library_(library) {}
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  ~Headers() { library_.slist_free_all(list_); }
  // False when there is no memory left.
  [[nodiscard]] bool add(const std::string& line) {
    curl_slist* longer = library_.slist_append(list_, line.c_str());
    if (longer == nullptr) return false;
    list_ = longer;
    return true;
  }
  [[nodiscard]] curl_slist* get() const { return list_; }

 private:
  const outbox::CurlLibrary& library_;
  curl_slist* list_ = nullptr;
};

struct Request {
  std::vector<std::string> headers{};
  std::string body{};
};

class WebhookPublisher final : public Publisher {
 public:
  using Curl = std::unique_ptr<CURL, decltype(outbox::CurlLibrary::easy_cleanup)>;

  WebhookPublisher(const outbox::CurlLibrary& library, WebhookOptions options, outbox::Url url,
                   Bytes key)
      : library_(library),
        options_(std::move(options)),
        url_(std::move(url)),
        key_(std::move(key)) {}

  // A connection for each.
  [[nodiscard]] std::size_t at_once() const override { return max_events_at_once; }
  Result<void> publish(const Event& event) override {
    auto curl = take();
    if (!curl) return fail(ErrorCode::io, "no memory left to send events with");
    auto posted = publish(event, curl.get());
    const MutexLock lock(mutex_);
    idle_.push_back(std::move(curl));
    return posted;
  }
  // False when there is no memory left.
  [[nodiscard]] bool prepare() {
    auto curl = take();
    if (!curl) return false;
    const MutexLock lock(mutex_);
    idle_.push_back(std::move(curl));
    return true;
  }

 private:
  // One that nobody uses. Null: there is no memory left.
  Curl take() {
    const MutexLock lock(mutex_);
    if (idle_.empty()) return {library_.easy_init(), library_.easy_cleanup};
    Curl curl = std::move(idle_.back());
    idle_.pop_back();
    return curl;
  }
  Result<void> publish(const Event& event, CURL* curl) {
    const Request request = request_of(event);
    std::string url = options_.url;
    outbox::Url at = url_;
    for (int redirects = 0;; ++redirects) {
      const Answer answer = post(curl, url, request);
      if (answer.code != CURLE_OK || answer.status < 300 || answer.status >= 400) {
        return judge(answer, at);
      }
      auto next = follow(answer, at, redirects);
      if (!next) return pass(next);
      url = answer.redirect;
      at = *std::move(next);
    }
  }
  [[nodiscard]] Request request_of(const Event& event) const;
  Answer post(CURL* curl, const std::string& url, const Request& request);
  // Where a redirect may lead.
  [[nodiscard]] Result<outbox::Url> follow(const Answer& answer, const outbox::Url& from,
                                           int redirects) const;
  [[nodiscard]] Result<void> judge(const Answer& answer, const outbox::Url& at) const;

  const outbox::CurlLibrary& library_;
  const WebhookOptions options_;
  const outbox::Url url_;
  const Bytes key_;
  Mutex mutex_;
  std::vector<Curl> idle_ ONCE_GUARDED_BY(mutex_);  // each with the connection it had
};

Request WebhookPublisher::request_of(const Event& event) const {
  Request request;
  if (options_.mode == CloudEventMode::structured) {
    request.headers.emplace_back("Content-Type: application/cloudevents+json; charset=utf-8");
    request.body = outbox::to_json(event, options_.source);
  } else {
    const outbox::CloudEvent made = outbox::to_cloud_event(event, options_.source);
    for (const auto& [name, value] : made.attributes) {
      request.headers.push_back("ce-" + name + ": " + outbox::header_value(value));
    }
    const bool plain = std::ranges::all_of(made.content_type, is_printable);
    // With nothing behind the colon curl leaves its own out as well.
    std::string type = "Content-Type:";
    if (!made.content_type.empty()) {
      type += ' ';
      type += plain ? made.content_type : "application/octet-stream";
    }
    request.headers.push_back(std::move(type));
    request.body = event.payload;
  }
  for (const auto& [name, value] : options_.headers) {
    request.headers.push_back(fmt::format("{}: {}", name, value));
  }
  if (!key_.empty()) {
    const std::int64_t now = std::time(nullptr);
    const std::string id = outbox::header_value(event.id);
    request.headers.push_back("webhook-id: " + id);
    request.headers.push_back("webhook-timestamp: " + std::to_string(now));
    request.headers.push_back("webhook-signature: " + outbox::sign(key_, id, now, request.body));
  }
  // Else curl asks first whether a large body is welcome, and waits for an answer.
  request.headers.emplace_back("Expect:");
  return request;
}

std::size_t keep_begin(char* data, std::size_t size, std::size_t count, void* begin) {
  auto& kept = *static_cast<std::string*>(begin);
  const std::size_t bytes = size * count;
  kept.append(data, std::min(bytes, answer_bytes - std::min(answer_bytes, kept.size())));
  return bytes;
}

// curl takes a connection that ends in the middle of a head for the end of an answer, and has a
// status already.
std::size_t look_for_end_of_head(char* data, std::size_t size, std::size_t count, void* whole) {
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) *static_cast<bool*>(whole) = false;
  if (line == "\r\n" || line == "\n") *static_cast<bool*>(whole) = true;
  return size * count;
}

Answer WebhookPublisher::post(CURL* curl, const std::string& url, const Request& request) {
  Answer answer;
  library_.easy_reset(curl);  // keeps the connection
  Headers headers(library_);
  for (const std::string& line : request.headers) {
    if (!headers.add(line)) return {.code = CURLE_OUT_OF_MEMORY};
  }
  std::string trouble(CURL_ERROR_SIZE, '\0');
  const auto set = [&](auto option, auto value) {
    const CURLcode code = library_.easy_setopt(curl, option, value);
    if (answer.code == CURLE_OK) answer.code = code;
  };
  set(CURLOPT_ERRORBUFFER, trouble.data());
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDS, request.body.data());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  set(CURLOPT_WRITEFUNCTION, &keep_begin);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&answer.begin));
  set(CURLOPT_HEADERFUNCTION, &look_for_end_of_head);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&answer.whole_head));
  const std::string agent = fmt::format("once/{}", version);
  set(CURLOPT_USERAGENT, agent.c_str());
  if (!options_.ca_file.empty()) {
    set(CURLOPT_CAINFO, options_.ca_file.c_str());
    // Else the folder with the system's authorities, of which curl knows by itself, counts as well.
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  if (answer.code != CURLE_OK) return answer;

  answer.code = library_.easy_perform(curl);
  answer.trouble = trouble.c_str();
  if (answer.code == CURLE_OK && !answer.whole_head) {
    answer.code = CURLE_PARTIAL_FILE;
    answer.trouble = "the answer broke off in the middle of its head";
  }
  (void)library_.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  char* redirect = nullptr;
  (void)library_.easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) answer.redirect = redirect;
  return answer;
}

Result<outbox::Url> WebhookPublisher::follow(const Answer& answer, const outbox::Url& from,
                                             int redirects) const {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::work_retryable, "{} answered {}: {}", from.shown, answer.status, why);
  };
  if (answer.redirect.empty()) return refuse("a redirect that does not say where to");
  auto next = outbox::parse_url(answer.redirect);
  if (!next) return refuse("a redirect to what is no URL of http or https");
  if (next->origin != from.origin) {
    return refuse(
        fmt::format("a redirect to another host ({}), which is not followed, since events "
                    "and secrets are meant for {} only; if it is right, send events "
                    "there yourself",
                    next->origin, from.origin));
  }
  if (answer.status != 307 && answer.status != 308) {
    return refuse("a redirect that turns a POST into a GET; the receiver must answer 307 or 308");
  }
  if (redirects == most_redirects) return refuse("too many redirects");
  return next;
}

Result<void> WebhookPublisher::judge(const Answer& answer, const outbox::Url& at) const {
  if (answer.code != CURLE_OK) {
    return fail(ErrorCode::work_retryable, "sending to {} failed: {}", at.shown,
                answer.trouble.empty() ? library_.easy_strerror(answer.code) : answer.trouble);
  }
  if (answer.status >= 200 && answer.status < 300) return {};
  const std::string said = answer.begin.empty() ? "" : ": " + harmless(answer.begin);
  const bool passing = answer.status == 408 || answer.status == 425 || answer.status == 429;
  if (answer.status >= 400 && answer.status < 500 && !passing) {
    return std::unexpected(work_failed(
        std::to_string(answer.status),
        fmt::format("{} answered {}, and will not take it{}", at.shown, answer.status, said)));
  }
  return fail(ErrorCode::work_retryable, "{} answered {}{}", at.shown, answer.status, said);
}

Result<void> check_timeout(std::string_view what, Duration timeout) {
  if (timeout > Duration::zero() && timeout <= std::chrono::hours(24)) return {};
  return fail(ErrorCode::invalid_argument, "{} of {} ms; give 1 ms to a day", what,
              timeout.count());
}

// Else every delivery would fail, as if the receiver were at fault.
Result<void> check_ca_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(ErrorCode::invalid_argument, "the file of authorities {} cannot be opened: {}",
                path, std::error_code(errno, std::generic_category()).message());
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.find("-----BEGIN ") != std::string::npos) return {};
  return fail(ErrorCode::invalid_argument,
              "{} has no certificate in it; give a file of authorities in PEM form", path);
}

}  // namespace

Result<std::unique_ptr<Publisher>> webhook_publisher(const WebhookOptions& options) {
  const auto library = outbox::curl_library();
  if (!library) return std::unexpected(library.error());
  auto url = outbox::parse_url(options.url);
  if (!url) return pass(url);
  for (const auto& [name, value] : options.headers) {
    if (auto checked = check_header(name, value); !checked) return pass(checked);
  }
  auto checked = check_timeout("a timeout for connecting", options.connect_timeout);
  if (checked) checked = check_timeout("a timeout", options.timeout);
  if (checked && !options.ca_file.empty()) checked = check_ca_file(options.ca_file);
  if (!checked) return pass(checked);
  auto key = outbox::signing_key(options.secret);
  if (!key) return pass(key);
  auto made =
      std::make_unique<WebhookPublisher>(**library, options, *std::move(url), *std::move(key));
  if (!made->prepare()) return fail(ErrorCode::io, "no memory left to send events with");
  return made;
}

}  // namespace once
