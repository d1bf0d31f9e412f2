// Patients' data, made up: what a hospital answers to a query is a function of (hospital, query, what it remembers of
// the study) alone, and so is what it remembers from then on: the simulator knows every contribution and with it the
// only right answer.
#pragma once

#include <functional>

#include "hospital_node/data/workbench.h"

namespace consilium::sim {

// Within every block's bound. `wild` draws from the whole of it; otherwise the values are such that training goes on.
RawContribution TrueContribution(std::uint32_t hospital, const Query& query, bool wild, ByteView memory = {});
// The ring words of it, contributors coordinate included; of a hospital that withholds them, zeros but for that one.
Bytes TrueVector(std::uint32_t hospital, const Query& query, bool wild, ByteView memory = {}, bool withheld = false);
// What the hospital remembers after such a contribution; sometimes too large for its record.
Bytes TrueMemory(std::uint32_t hospital, const Plan& plan, const Query& query, ByteView memory);

class FakeWorkbench final : public node::Workbench {
 public:
  // Asked before each Compute; an error is what Compute returns then.
  using OnCompute = std::function<Status(const Plan&, const Query&, const node::Given&)>;
  FakeWorkbench(std::uint32_t hospital, bool wild, bool unfit, OnCompute on_compute)
      : hospital_(hospital), wild_(wild), unfit_(unfit), on_compute_(std::move(on_compute)) {}

  [[nodiscard]] Result<Value> Check(const node::DataSetSpec& spec) const override;
  void Keep(const std::vector<node::DataSetSpec>& /*registered*/) const override {}
  [[nodiscard]] Status Preflight(const Plan& plan, const node::DataSetSpec& spec) const override;
  [[nodiscard]] Result<RawContribution> Compute(const Plan& plan, const node::DataSetSpec& spec, const Query& query,
                                                const node::Given& given) const override;
  [[nodiscard]] Result<Value> OwnResults(const Plan& plan, const node::DataSetSpec& spec, const Query& last_query,
                                         ByteView model) const override;

 private:
  std::uint32_t hospital_;
  bool wild_, unfit_;  // Unfit: the data set does not fit any plan's schema.
  OnCompute on_compute_;
};

}  // namespace consilium::sim
