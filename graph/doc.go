// Package graph is the intermediate representation of resnet-run: a typed graph of the layers that networks of
// the ResNet family are made of. A Graph knows no device, no file format and no picture.
//
// # Glossary
//
//   - Value: a tensor in the graph: an input, a parameter (weights) or the result of a node.
//   - Node: one application of an [Op] to values; it has exactly one result, which carries the node's name.
//   - NCHW: the order of the dimensions of an activation: batch, channels, rows, columns. K, R and S are the
//     filters, kernel rows and kernel columns of a convolution, P and Q the rows and columns of its output.
//   - kernel = filter = the weights of a convolution; channels = features; shortcut = skip = residual connection.
//   - Epilogue: what is applied to the result of a convolution, gate, split attention (shortcut add, then ReLU) or group norm
//     (ReLU alone) before it is stored.
//
// # Life of a graph
//
// A [Builder] (or a package on top of it, such as graph/resnet) makes it, [Graph.Bind] attaches the weights, the
// passes of graph/pass rewrite it into new graphs, and a backend compiles it. A finished graph is never modified:
// passes and [Graph.WithBatch] return new ones, which may share nodes' ops and parameter data.
//
// # What it does not do
//
// No control flow, no dynamic shapes (the batch size is part of the shapes; see [Graph.WithBatch]), no training.
package graph
