// Webhook: delivers events by HTTP, as CloudEvents 1.0 (https://cloudevents.io).
//
//   auto hook = once::webhook_publisher({.url = "https://shop.example/events"});
//   if (!hook) return handle(hook.error());
//   auto relay = once::Relay::start(store, std::move(*hook));
//
// What an event becomes:
//
//   id               the event's id: what the receiver's inbox has to remember
//   source           WebhookOptions::source
//   type             the event's type ("event" if it has none)
//   subject          the aggregate's id, if there is one
//   time             when the event was committed
//   aggregatetype, aggregateid   extensions, if there is an aggregate
//   sequence         extension: 20 digits, growing in the order of commits
//   others           the event's headers: their names in small letters, without what is neither
//                    letter nor digit, with an x in front where the name is taken already
//   datacontenttype  the event's header `content-type`; without one application/json, text/plain
//                    or application/octet-stream, by what the payload is
//   data             the payload: as it is where it is JSON or text, else in base64
//
// Values that are no text (bytes that are not UTF-8, control characters) are percent-encoded.
// Metadata stay in the store.
//
// Answers. 2xx: delivered. 408, 425, 429, 5xx, and everything that goes wrong on the way (no
// connection, no answer in time, an answer that breaks off): tried again. Every other 4xx: the
// event will never be taken, a dead letter. A redirect to the same scheme, host and port is
// followed (307 and 308; five at most); any other is refused and tried again, since it is not the
// event's fault. Since an answer may get lost, a receiver can see an event twice: with the same id.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "once/clock.h"
#include "once/error.h"
#include "once/outbox.h"

namespace once {

enum class CloudEventMode : std::uint8_t {
  structured = 1,  // all of it as JSON in the body, application/cloudevents+json
  binary = 2,      // the payload as the body, the rest as headers ce-...
};

struct WebhookOptions {
  std::string url{};  // http: or https:
  CloudEventMode mode = CloudEventMode::structured;
  std::string source = "/once";
  // Sent with every request, e.g. {"Authorization", "Bearer ..."}. Their values appear in no
  // message.
  std::map<std::string, std::string> headers{};
  // Not empty: requests are signed by HMAC-SHA256 as Standard Webhooks has it (headers webhook-id,
  // webhook-timestamp, webhook-signature; https://www.standardwebhooks.com). "whsec_" and base64,
  // or the bytes themselves. Appears in no message.
  std::string secret{};
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(30);  // of a whole request
  // PEM file of the authorities to trust, instead of the system's. Of an https: URL the receiver's
  // certificate and that it is for the URL's host are always checked: what is not right is tried
  // again, and nothing is sent.
  std::string ca_file{};
};

// A publisher that posts each event to `url`; keeps its connections, one for each event that is
// posted at the same time (RelayOptions::at_once). A proxy is taken from the environment
// (http_proxy and so on), as curl does. Errors: invalid_argument (what is no URL, a header that is
// no header or stands for itself, a timeout of nothing, a broken secret, a ca_file that cannot be
// opened or has no certificate); unsupported (there is no libcurl here: it is loaded when the first
// publisher is made).
[[nodiscard]] Result<std::unique_ptr<Publisher>> webhook_publisher(const WebhookOptions& options);

}  // namespace once
