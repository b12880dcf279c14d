// The publisher that calls a function.
#include <utility>

#include "once/outbox.h"

namespace once {
namespace {

class CallbackPublisher final : public Publisher {
 public:
  explicit CallbackPublisher(std::function<Result<void>(const Event&)> call)
      : call_(std::move(call)) {}
  Result<void> publish(const Event& event) override { return call_(event); }

 private:
  const std::function<Result<void>(const Event&)> call_;
};

}  // namespace

std::unique_ptr<Publisher> callback_publisher(std::function<Result<void>(const Event&)> publish) {
  if (!publish) return nullptr;
  return std::make_unique<CallbackPublisher>(std::move(publish));
}

}  // namespace once
