#include "workloads/workload.h"

namespace once::bench {

void add_checkpoints(std::vector<Workload>&) {}

}  // namespace once::bench
