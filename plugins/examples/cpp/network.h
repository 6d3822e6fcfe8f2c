// A graph as it runs: checked once, then only numbers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "error.h"

using Shape = std::vector<int64_t>;

// Elements is the number of elements, or throws INVALID where it does not fit in 62 bits of bytes.
int64_t Elements(const Shape& s);

// TypeText is a type for messages: "float32[1,3,224,224]".
std::string TypeText(const pb::TensorType& t);

// CheckType throws INVALID for what is no tensor type, and UNSUPPORTED for other elements than float32.
Shape CheckType(const pb::TensorType& t);

bool SameType(const pb::TensorType& a, const pb::TensorType& b);

// Infer is the shape of an operation's result. It throws INVALID where attributes or inputs break the protocol, and
// UNSUPPORTED for an operation or activation that this program does not know.
Shape Infer(const std::string& node, const pb::Op& op, const std::vector<Shape>& in);

// CheckQuery throws when the node of a Supports call cannot be run here.
void CheckQuery(const pb::NodeQuery& q);

// Stop is asked in the middle of the work; it throws when the caller has gone.
using Stop = std::function<void()>;

// Compute runs one operation. in and out have the shapes that Infer was asked about. Convolutions and linear layers add
// up to 64 products in float32 and these sums in float64, so that long sums stay accurate.
void Compute(const pb::Op& op, const std::vector<const float*>& in, const std::vector<Shape>& in_shapes, float* out,
             const Shape& out_shape, const Stop& stop);

// Network is a compiled graph.
class Network {
 public:
  // Checks the graph as the protocol's section 4 has it. Parameters have no data yet.
  explicit Network(pb::Graph graph);

  // Append takes the next piece of parameter data; Finish throws if any is missing.
  void Append(const pb::ParameterData& piece);
  void Finish() const;

  const pb::Graph& graph() const { return graph_; }
  std::vector<pb::Value> Inputs() const;
  std::vector<pb::Value> Outputs() const;

  // Run computes. It may be called by several threads at once.
  void Run(const std::vector<const float*>& in, const std::vector<float*>& out, const Stop& stop) const;

 private:
  struct Value {
    const pb::TensorType* type;
    Shape shape;
    int64_t bytes;
    int uses = 0;  // by nodes; an output has one more
  };
  struct Step {
    const pb::Node* node;
    std::vector<int> inputs;
    int result;
  };
  int Add(const std::string& name, const pb::TensorType& type);

  pb::Graph graph_;
  std::vector<Value> values_;  // inputs, parameters, results
  std::vector<Step> steps_;
  std::vector<int> outputs_;
  std::vector<std::string> data_;  // of the parameters
  size_t next_ = 0;                // the parameter whose data comes
  std::unordered_map<std::string, int> names_;
};
