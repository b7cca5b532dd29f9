# Treatment effect: one log-rank test at each station, pooled by stratification. See README.md.
library(jsonlite)

fail <- function(...) stop(..., call. = FALSE)

source("/app/station.R")
source("/app/combine.R")
source("/app/answer.R")

# [[ ]] throughout: `$` would also accept a longer name that begins alike.
parameter <- function(request, name) {
  value <- request[["parameters"]][[name]]
  if (!is.character(value) || length(value) != 1) fail("the parameter '", name, "' is missing or not a text")
  value
}

request <- read_json("/train/request.json")
answer <- switch(
  request[["step"]],
  run = run_station(request),
  combine = combine(request),
  fail("unknown step '", request[["step"]], "'")
)

json <- toJSON(answer, auto_unbox = TRUE, digits = NA, null = "null", na = "null", json_verbatim = TRUE)
writeLines(enc2utf8(json), "/out/result.json", useBytes = TRUE)
