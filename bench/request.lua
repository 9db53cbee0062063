-- The request that wrk sends, from the environment that load.mjs gives it.
wrk.method = os.getenv("BENCH_METHOD")
if os.getenv("BENCH_BODY") ~= "" then
  wrk.body = os.getenv("BENCH_BODY")
  wrk.headers["content-type"] = "application/json"
end
