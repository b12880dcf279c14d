// The publisher that calls a function.
#include <utility>

#include "once/outbox.h"

namespace once {
namespace {

class CallbackPublisher final : public Publisher {
 public:
  CallbackPublisher(std::function<Result<void>(const Event&)> call, std::size_t at_once)
      : call_(std::move(call)), at_once_(at_once) {}
  Result<void> publish(const Event& event) override { return call_(event); }
  [[nodiscard]] std::size_t at_once() const override { return at_once_; }

 private:
  const std::function<Result<void>(const Event&)> call_;
  const std::size_t at_once_;
};

}  // namespace

std::unique_ptr<Publisher> callback_publisher(std::function<Result<void>(const Event&)> publish,
                                              std::size_t at_once) {
  if (!publish) return nullptr;
  return std::make_unique<CallbackPublisher>(std::move(publish), at_once);
}

}  // namespace once
