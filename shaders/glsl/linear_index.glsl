// The index of this invocation in a dispatch over a flat range. The range is spread over x and y of the dispatch,
// because a device need not accept more than 65535 workgroups along one of them.
uint linearIndex() {
    return (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}
