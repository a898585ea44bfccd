package worktree

// ownUmask takes nothing away.
const ownUmask = 0
