// What happens to RocksDB when the disk is full: whether it has stopped, and whether a commit that
// it refused was written in part.
//
// It stops when it cannot write tables or their list. Nothing of what was acknowledged is touched
// by that: the logs have it. So it can go on when there is space (DB::Resume()), and until then
// refuses commits before it writes any of them. When the log itself fails it is another matter:
// that poisons (commit_queue.h). RocksDB does not tell the two apart, and so appends to its logs
// are counted.
//
// RocksDB 7.8.3 may wait for ever when it is told to go on while there still is no room: a flush
// that was about to run when it stopped is forgotten. So it is told only when the place knows that
// there is room (Place::admit_flush()). Where the place does not know, all is as RocksDB does it by
// itself, and poisons.
//
// A compaction that finds no room stops nothing, and is tried again, after a pause: at once it
// would fail again, and take all of a processor for that.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/listener.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/mutex.h"

namespace once::engine {

// Thread-safe.
class FullDisk final : public rocksdb::EventListener {
 public:
  // `knows_room`: whether the place does.
  explicit FullDisk(bool knows_room) : knows_room_(knows_room) {}

  // What RocksDB has to run on, for its logs to be watched.
  [[nodiscard]] std::shared_ptr<rocksdb::FileSystem> watch(
      const std::shared_ptr<rocksdb::FileSystem>& target);

  // Whether the table that this thread is about to make takes the place of others.
  [[nodiscard]] static bool makes_rewrite() { return makes_rewrite_; }

  [[nodiscard]] bool stopped() const { return stopped_; }
  // Before RocksDB is told to go on, since it may stop again at once; and when it did not.
  void resuming() { stopped_ = false; }
  void still_stopped() { stopped_ = true; }

  // While one of these exists no compaction that finds no room pauses. Borrows what it is made on.
  class Hurry {
   public:
    explicit Hurry(FullDisk& disk) : disk_(disk) { disk_.hurry(1); }
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;
    ~Hurry() { disk_.hurry(-1); }

   private:
    FullDisk& disk_;
  };

  // How often something was appended to a log, or tried.
  [[nodiscard]] std::uint64_t log_appends() const { return *log_appends_; }
  // Whether RocksDB gave `refused` to a commit because the disk was full, and wrote none of it.
  // `appends_before`: log_appends() before it was asked; nobody else may have asked meanwhile.
  [[nodiscard]] bool explains(const rocksdb::Status& refused, std::uint64_t appends_before);

  // In the thread that makes the file then.
  void OnTableFileCreationStarted(const rocksdb::TableFileCreationBriefInfo& info) override {
    makes_rewrite_ = info.reason == rocksdb::TableFileCreationReason::kCompaction;
  }
  void OnBlobFileCreationStarted(const rocksdb::BlobFileCreationBriefInfo& info) override {
    makes_rewrite_ = info.reason == rocksdb::BlobFileCreationReason::kCompaction;
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    if (!knows_room_ || !error->IsNoSpace()) return;
    if (reason == rocksdb::BackgroundErrorReason::kCompaction) {
      pause();
      *error = rocksdb::Status::OK();
    } else {
      stopped_ = true;
    }
  }
  // By itself it would look every five seconds.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status error,
                            bool* auto_recovery) override {
    if (knows_room_ && error.IsNoSpace()) *auto_recovery = false;
  }

 private:
  static inline thread_local bool makes_rewrite_ = false;

  // In a thread of RocksDB's, which holds no lock then.
  void pause() ONCE_EXCLUDES(mutex_);
  void hurry(int more) ONCE_EXCLUDES(mutex_);

  const bool knows_room_;
  Mutex mutex_;
  CondVar hurried_;
  int hurries_ ONCE_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> stopped_ = false;
  const std::shared_ptr<std::atomic<std::uint64_t>> log_appends_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace once::engine
