// Shapes: what the messages Conv2D to Reshape of backend.proto say about inputs and results.
#include <algorithm>
#include <cmath>

#include "network.h"

namespace {

constexpr int64_t kMaxAttribute = int64_t{1} << 24;
constexpr int64_t kMaxBytes = int64_t{1} << 62;

std::string Text(const Shape& s) {
  std::string out = "[";
  for (size_t i = 0; i < s.size(); i++) out += (i ? "," : "") + std::to_string(s[i]);
  return out + "]";
}

std::string Text(int64_t a, int64_t b) { return std::to_string(a) + "," + std::to_string(b); }

// Rules holds what the inference of one node says in its errors.
struct Rules {
  const std::string& node;
  std::string op;
  const std::vector<Shape>& in;

  [[noreturn]] void Fail(const std::string& attribute, const std::string& want, const std::string& got) const {
    throw Misfit(node, op, attribute, want, got);
  }
  void Inputs(size_t n) const {
    if (in.size() != n) Fail("inputs", std::to_string(n), std::to_string(in.size()));
  }
  void Image(size_t i) const {
    if (in[i].size() != 4) Fail("input " + std::to_string(i), "4 dimensions", Text(in[i]));
    for (int d = 1; d < 4; d++)
      if (in[i][d] < 1) Fail("input " + std::to_string(i), "at least 1 channel, row and column", Text(in[i]));
  }
  void Is(size_t i, const Shape& want) const {
    if (in[i] != want) Fail("input " + std::to_string(i), Text(want), Text(in[i]));
  }
  void Range(const char* attribute, int64_t a, int64_t b, int64_t least) const {
    if (std::min(a, b) < least || std::max(a, b) > kMaxAttribute)
      Fail(attribute, "two numbers in " + std::to_string(least) + "..2^24", Text(a, b));
  }
  void Range(const pb::Padding& p) const {
    Range("padding", p.top(), p.left(), 0);
    Range("padding", p.bottom(), p.right(), 0);
  }
  void Groups(int64_t groups, int64_t channels) const {
    if (groups < 1 || channels % groups != 0)
      Fail("groups", "a divisor of " + std::to_string(channels) + " channels", std::to_string(groups));
  }
  void Epsilon(double e) const {
    if (!(e > 0) || std::isinf(e)) Fail("epsilon", "a finite number above 0", std::to_string(e));
  }
  void Known(pb::Activation a) const {
    if (a != pb::ACTIVATION_NONE && a != pb::ACTIVATION_RELU)
      throw Unsupported("activation: want none or relu, got " + std::to_string(a));
  }
};

Shape InferConv(const Rules& r, const pb::Conv2D& o) {
  r.Inputs(2 + o.bias() + o.add());
  r.Image(0);
  r.Image(1);
  r.Range("stride", o.stride().rows(), o.stride().columns(), 1);
  r.Range("dilation", o.dilation().rows(), o.dilation().columns(), 1);
  r.Range(o.padding());
  const Shape &x = r.in[0], &w = r.in[1];
  const int64_t g = o.groups(), filters = w[0];
  if (g < 1 || x[1] % g != 0 || filters < 1 || filters % g != 0 || w[1] != x[1] / g)
    r.Fail("groups", "a divisor of channels and filters, with filters of that many channels",
           std::to_string(g) + " with " + Text(x) + " and " + Text(w));
  r.Known(o.activation());
  const int64_t h = x[2] + o.padding().top() + o.padding().bottom(), wd = x[3] + o.padding().left() + o.padding().right();
  if (w[2] - 1 > (h - 1) / o.dilation().rows() || w[3] - 1 > (wd - 1) / o.dilation().columns())
    r.Fail("input 1", "a kernel within the padded " + Text(h, wd), Text(w));
  const Shape out = {x[0], filters, (h - 1 - o.dilation().rows() * (w[2] - 1)) / o.stride().rows() + 1,
                     (wd - 1 - o.dilation().columns() * (w[3] - 1)) / o.stride().columns() + 1};
  if (o.bias()) r.Is(2, {filters});
  if (o.add()) r.Is(2 + o.bias(), out);
  return out;
}

int64_t PoolExtent(int64_t size, int64_t kernel, int64_t stride, int64_t before, int64_t after, bool ceil) {
  const int64_t span = size + before + after - kernel;
  int64_t quotient = span / stride, rest = span % stride;
  if (rest < 0) quotient--;  // round down, not towards zero
  int64_t n = quotient + 1;
  if (ceil && rest != 0 && n * stride < size + before) n++;
  return n;
}

template <typename Pool>
Shape InferPool(const Rules& r, const Pool& o) {
  r.Inputs(1);
  r.Image(0);
  r.Range("kernel", o.kernel().rows(), o.kernel().columns(), 1);
  r.Range("stride", o.stride().rows(), o.stride().columns(), 1);
  r.Range(o.padding());
  const pb::Padding& p = o.padding();
  if (std::max(p.top(), p.bottom()) >= o.kernel().rows() || std::max(p.left(), p.right()) >= o.kernel().columns())
    r.Fail("padding", "less than the kernel on each side", Text(std::max(p.top(), p.bottom()), std::max(p.left(), p.right())));
  const Shape& x = r.in[0];
  const int64_t rows = PoolExtent(x[2], o.kernel().rows(), o.stride().rows(), p.top(), p.bottom(), o.ceil_mode());
  const int64_t columns = PoolExtent(x[3], o.kernel().columns(), o.stride().columns(), p.left(), p.right(), o.ceil_mode());
  if (rows < 1 || columns < 1) r.Fail("kernel", "at most the padded input", Text(o.kernel().rows(), o.kernel().columns()));
  return {x[0], x[1], rows, columns};
}

Shape InferLinear(const Rules& r, const pb::Linear& o) {
  r.Inputs(2 + o.bias());
  const Shape &x = r.in[0], &w = r.in[1];
  if (x.size() != 2 || x[1] < 1) r.Fail("input 0", "[N,C] with C at least 1", Text(x));
  if (w.size() != 2 || w[1] != x[1] || w[0] < 1) r.Fail("input 1", "[K," + std::to_string(x[1]) + "]", Text(w));
  if (o.bias()) r.Is(2, {w[0]});
  return {x[0], w[0]};
}

Shape InferBatchNorm(const Rules& r, const pb::BatchNorm& o) {
  r.Inputs(5);
  r.Image(0);
  r.Epsilon(o.epsilon());
  for (size_t i = 1; i < 5; i++) r.Is(i, {r.in[0][1]});
  return r.in[0];
}

Shape InferFlatten(const Rules& r) {
  r.Inputs(1);
  if (r.in[0].empty()) r.Fail("input 0", "at least 1 dimension", "[]");
  return {r.in[0][0], Elements(Shape(r.in[0].begin() + 1, r.in[0].end()))};
}

Shape InferPad(const Rules& r, const pb::ChannelPad& o) {
  r.Inputs(1);
  r.Image(0);
  r.Range("before, after", o.before(), o.after(), 0);
  const Shape& x = r.in[0];
  return {x[0], o.before() + x[1] + o.after(), x[2], x[3]};
}

Shape InferSubsample(const Rules& r, const pb::Subsample& o) {
  r.Inputs(1);
  r.Image(0);
  r.Range("stride", o.stride().rows(), o.stride().columns(), 1);
  const Shape& x = r.in[0];
  return {x[0], x[1], (x[2] - 1) / o.stride().rows() + 1, (x[3] - 1) / o.stride().columns() + 1};
}

Shape InferGate(const Rules& r, const pb::Gate& o) {
  r.Inputs(2 + o.add());
  r.Image(0);
  r.Known(o.activation());
  r.Is(1, {r.in[0][0], r.in[0][1], 1, 1});
  if (o.add()) r.Is(2, r.in[0]);
  return r.in[0];
}

Shape InferGroupNorm(const Rules& r, const pb::GroupNorm& o) {
  r.Inputs(3);
  r.Image(0);
  r.Groups(o.groups(), r.in[0][1]);
  r.Epsilon(o.epsilon());
  r.Known(o.activation());
  for (size_t i = 1; i < 3; i++) r.Is(i, {r.in[0][1]});
  return r.in[0];
}

Shape InferSplitAttention(const Rules& r, const pb::SplitAttention& o) {
  r.Inputs(2 + o.add());
  r.Image(0);
  r.Known(o.activation());
  const Shape& x = r.in[0];
  if (o.radix() < 1 || x[1] % o.radix() != 0)
    r.Fail("radix", "a divisor of " + std::to_string(x[1]) + " channels", std::to_string(o.radix()));
  const Shape out = {x[0], x[1] / o.radix(), x[2], x[3]};
  r.Groups(o.groups(), out[1]);
  r.Is(1, {x[0], x[1], 1, 1});
  if (o.add()) r.Is(2, out);
  return out;
}

Shape InferConcat(const Rules& r) {
  if (r.in.empty()) r.Fail("inputs", "at least 1", "0");
  r.Image(0);
  Shape out = r.in[0];
  for (size_t i = 1; i < r.in.size(); i++) {
    r.Image(i);
    const int64_t channels = r.in[i][1];
    r.Is(i, {out[0], channels, out[2], out[3]});
    if (channels > kMaxBytes - out[1]) throw Invalid(r.node + ": too many channels");
    out[1] += channels;
  }
  return out;
}

Shape InferSlice(const Rules& r, const pb::ChannelSlice& o) {
  r.Inputs(1);
  r.Image(0);
  const Shape& x = r.in[0];
  if (o.begin() < 0 || o.begin() >= o.end() || o.end() > x[1])
    r.Fail("begin, end", "channels of " + Text(x), Text(o.begin(), o.end()));
  return {x[0], o.end() - o.begin(), x[2], x[3]};
}

Shape InferSpatialPad(const Rules& r, const pb::SpatialPad& o) {
  r.Inputs(1);
  r.Image(0);
  r.Range(o.padding());
  const Shape& x = r.in[0];
  const pb::Padding& p = o.padding();
  if (o.reflect() && (std::max(p.top(), p.bottom()) >= x[2] || std::max(p.left(), p.right()) >= x[3]))
    r.Fail("padding", "less than the picture on each side", Text(std::max(p.top(), p.bottom()), std::max(p.left(), p.right())));
  return {x[0], x[1], p.top() + x[2] + p.bottom(), p.left() + x[3] + p.right()};
}

Shape InferReshape(const Rules& r, const pb::Reshape& o) {
  const Shape flat = InferFlatten(r);
  const Shape out = {flat[0], o.channels(), o.rows(), o.columns()};
  for (int d = 1; d < 4; d++)
    if (out[d] < 1 || out[d] > kMaxAttribute) r.Fail("channels, rows, columns", "three numbers in 1..2^24", Text(out));
  if (Elements({out[1], out[2], out[3]}) != flat[1]) r.Fail("channels, rows, columns", std::to_string(flat[1]) + " elements", Text(out));
  return out;
}

}  // namespace

int64_t Elements(const Shape& s) {
  if (std::find(s.begin(), s.end(), 0) != s.end()) return 0;
  int64_t n = 1;
  for (int64_t d : s) {
    if (d < 0 || d > kMaxBytes / 4 / n) throw Invalid("a tensor of shape " + Text(s) + " is too large");
    n *= d;
  }
  return n;
}

std::string TypeText(const pb::TensorType& t) {
  std::string name = pb::DType_Name(t.dtype());
  if (name.rfind("DTYPE_", 0) == 0) name = name.substr(6);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return name + Text(Shape(t.shape().begin(), t.shape().end()));
}

bool SameType(const pb::TensorType& a, const pb::TensorType& b) {
  return a.dtype() == b.dtype() && std::equal(a.shape().begin(), a.shape().end(), b.shape().begin(), b.shape().end());
}

Shape CheckType(const pb::TensorType& t) {
  if (t.dtype() == pb::DTYPE_UNSPECIFIED) throw Invalid("dtype: want an element type, got none");
  if (t.shape_size() > 6) throw Invalid("shape: want at most 6 dimensions, got " + std::to_string(t.shape_size()));
  Shape s(t.shape().begin(), t.shape().end());
  for (int64_t d : s) {
    if (d < 0) throw Invalid("shape: want no negative dimension, got " + TypeText(t));
    if (d > kMaxBytes) throw Unsupported("shape: want dimensions up to 2^62, got " + TypeText(t));  // so that sums fit
  }
  Elements(s);
  if (t.dtype() != pb::DTYPE_FLOAT32) throw Unsupported("dtype: want float32, got " + TypeText(t));
  return s;
}

Shape Infer(const std::string& node, const pb::Op& op, const std::vector<Shape>& in) {
  const auto* field = pb::Op::descriptor()->oneof_decl(0);
  const auto* set = op.GetReflection()->GetOneofFieldDescriptor(op, field);
  if (set == nullptr) throw Unsupported(node + ": op: unknown to this plugin");
  const Rules r{node, set->name(), in};
  switch (op.kind_case()) {
    case pb::Op::kConv2D: return InferConv(r, op.conv2d());
    case pb::Op::kLinear: return InferLinear(r, op.linear());
    case pb::Op::kBatchNorm: return InferBatchNorm(r, op.batch_norm());
    case pb::Op::kRelu: r.Inputs(1); return in[0];
    case pb::Op::kAdd: r.Inputs(2); r.Is(1, in[0]); return in[0];
    case pb::Op::kSoftmax:
      r.Inputs(1);
      if (in[0].empty() || in[0].back() < 1) r.Fail("input 0", "a last dimension of at least 1", Text(in[0]));
      return in[0];
    case pb::Op::kMaxPool: return InferPool(r, op.max_pool());
    case pb::Op::kAvgPool: return InferPool(r, op.avg_pool());
    case pb::Op::kGlobalAvgPool: r.Inputs(1); r.Image(0); return {in[0][0], in[0][1], 1, 1};
    case pb::Op::kFlatten: return InferFlatten(r);
    case pb::Op::kChannelPad: return InferPad(r, op.channel_pad());
    case pb::Op::kSubsample: return InferSubsample(r, op.subsample());
    case pb::Op::kGate: return InferGate(r, op.gate());
    case pb::Op::kGroupNorm: return InferGroupNorm(r, op.group_norm());
    case pb::Op::kSplitAttention: return InferSplitAttention(r, op.split_attention());
    case pb::Op::kConcat: return InferConcat(r);
    case pb::Op::kChannelSlice: return InferSlice(r, op.channel_slice());
    case pb::Op::kSpatialPad: return InferSpatialPad(r, op.spatial_pad());
    case pb::Op::kReshape: return InferReshape(r, op.reshape());
    default: throw Unsupported(node + ": op: unknown to this plugin");
  }
}

void CheckQuery(const pb::NodeQuery& q) {
  std::vector<Shape> in;
  for (const pb::Operand& o : q.inputs()) in.push_back(CheckType(o.value().type()));
  const Shape want = CheckType(q.result());
  const Shape got = Infer(q.name(), q.op(), in);
  if (got != want) throw Misfit(q.name(), "node", "result", Text(got), Text(want));
}
