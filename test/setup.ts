// A rejection that nobody awaited is a bug in the code under test: the run fails with it rather than going on.
process.on('unhandledRejection', (reason) => {
  throw reason;
});
