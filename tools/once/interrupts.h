// Ctrl-C for what must tidy up before it ends: while an Interrupts lives, SIGINT, SIGTERM and
// SIGHUP do not end the process but are told.
//
//   Interrupts interrupts;
//   while (Interrupts::caught() == 0) poll(... interrupts.descriptor() ...);
//   if (Interrupts::caught() != 0) Interrupts::die();
#pragma once

namespace once::tool {

class Interrupts {
 public:
  // At most one at a time. Signals that were ignored (nohup) stay ignored.
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  // The signal that came, or 0.
  [[nodiscard]] static int caught();
  // Readable from the moment a signal came; for poll(2).
  [[nodiscard]] int descriptor() const;
  // Ends this process by the signal that came, as if it had not been caught, so that a shell knows.
  static void die();
};

}  // namespace once::tool
