// LeaseKeeper: renews a reservation every third of its lease while a command runs, in a thread of
// its own, so that waiting for the store never holds up the command's output.
//
// The store is opened for each renewal and closed again: many `once run` share it.
#pragma once

#include <string>
#include <thread>

#include "base/mutex.h"
#include "descriptor.h"
#include "once/reservation.h"

namespace once::supervise {

class LeaseKeeper {
 public:
  // Signals must be blocked (see Signals::take), so that this thread is never interrupted.
  LeaseKeeper(std::string where, Reservation reservation);
  ~LeaseKeeper() { stop(); }
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Readable from the moment at which a renewal was refused: the reservation is somebody else's.
  [[nodiscard]] int lost() const { return lost_.get(); }
  // Ends the renewing, and lets go of the store. May be called twice.
  void stop();

 private:
  void run();
  // Waits; false when it is time to stop.
  bool wait(Duration time);
  bool stopping();
  // False: lost.
  bool renew();

  const std::string where_;
  const Reservation reservation_;
  const Descriptor lost_;
  bool warned_ = false;  // of the thread

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ONCE_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace once::supervise
