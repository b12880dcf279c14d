#include "engine/embedded/expiry_filter.h"

#include "model/row_header.h"

namespace once::engine {
namespace {

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  ExpiryFilter(Time marked, std::shared_ptr<std::atomic<std::uint64_t>> removed)
      : marked_(marked), removed_(std::move(removed)) {}

  Decision FilterV2(int, const rocksdb::Slice&, ValueType type, const rocksdb::Slice& value,
                    std::string*, std::string*) const override {
    if (type != ValueType::kValue ||
        !model::may_remove(ByteView(value.data(), value.size()), marked_)) {
      return Decision::kKeep;
    }
    removed_->fetch_add(1, std::memory_order_relaxed);
    return Decision::kRemove;
  }
  const char* Name() const override { return "once.ExpiryFilter"; }

 private:
  const Time marked_;
  const std::shared_ptr<std::atomic<std::uint64_t>> removed_;
};

}  // namespace

std::unique_ptr<rocksdb::CompactionFilter> ExpiryFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context&) {
  const auto clock = std::atomic_load(&clock_);
  if (!clock) return nullptr;
  return std::make_unique<ExpiryFilter>(clock->removable(), removed_);
}

}  // namespace once::engine
