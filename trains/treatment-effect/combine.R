# Step "combine": the stations' released results become one answer, on the researcher's machine.

Z_95 <- qnorm(0.975)

combine <- function(request) {
  files <- sort(list.files("/cargo", "[.]json$", full.names = TRUE))
  if (length(files) == 0) fail("there is no result to combine")
  results <- lapply(files, read_json)
  names(results) <- sub("[.]json$", "", basename(files))

  tests <- tests_of(results)
  pooled <- pool(tests$u, tests$v)
  tests$without <- vapply(seq_len(nrow(tests)), function(i) pool(tests$u[-i], tests$v[-i])$hr, 0)
  counts <- counts_by_arm(results, request)
  treated <- parameter(request, "treated")

  list(
    schema = "pht-answer/v1",
    title = paste0("Effect of ", short(treated), ", ", nrow(tests), " of ", length(results), " stations in the test"),
    sections = list(
      effect_section(pooled, treated),
      station_section(tests),
      count_section(counts),
      part_section(results, tests)
    ),
    values = values_of(pooled, tests, counts, length(results))
  )
}

output_of <- function(result, id) {
  found <- Filter(function(output) identical(output[["id"]], id), result[["outputs"]])
  if (length(found) == 1) found[[1]] else NULL
}

# One row for each station whose test was released: station, u, v.
tests_of <- function(results) {
  rows <- lapply(names(results), function(station) {
    test <- output_of(results[[station]], "log_rank")
    if (is.null(test[["u"]]) || is.null(test[["v"]])) return(NULL)
    data.frame(station = station, u = test[["u"]], v = test[["v"]])
  })
  empty <- data.frame(station = character(), u = numeric(), v = numeric())
  do.call(rbind, c(list(empty), rows))
}

# Stratified log-rank, Peto's one-step hazard ratio and heterogeneity; README.md has the formulas.
pool <- function(u, v) {
  U <- sum(u)
  V <- sum(v)
  informative <- v > 0
  k <- sum(informative)
  if (V <= 0) {
    unknown <- c("chisq", "p", "hr", "low", "high", "q", "q_p")
    return(c(list(u = U, v = V, q_df = 0), stats::setNames(rep(list(NA_real_), 7), unknown)))
  }
  chisq <- U^2 / V
  # Rounded inputs may push a Q of zero a hair below it.
  q <- if (k > 1) max(0, sum(u[informative]^2 / v[informative]) - chisq) else NA_real_
  list(
    u = U, v = V,
    chisq = chisq, p = pchisq(chisq, 1, lower.tail = FALSE),
    hr = exp(U / V), low = exp(U / V - Z_95 / sqrt(V)), high = exp(U / V + Z_95 / sqrt(V)),
    q = q, q_df = max(0, k - 1), q_p = if (k > 1) pchisq(q, k - 1, lower.tail = FALSE) else NA_real_
  )
}

# Patients and events of each arm: a sum over all stations, or NA and the number of stations that hold it back.
counts_by_arm <- function(results, request) {
  event <- parameter(request, "event")
  arms <- unique(unlist(lapply(results, function(result) {
    unlist(output_of(result, "patients")[["dims"]][[1]][["levels"]])
  })))
  lapply(stats::setNames(arms, arms), function(arm) {
    list(
      patients = total(lapply(results, function(result) cell(output_of(result, "patients"), arm))),
      events = total(lapply(results, function(result) cell(output_of(result, "events"), c(arm, event))))
    )
  })
}

# The count at these levels, or NA where the station holds it back.
cell <- function(output, levels) {
  for (entry in output[["cells"]]) {
    here <- mapply(function(dim, k) dim[["levels"]][[k + 1]], output[["dims"]], entry[["k"]])
    if (identical(unname(here), levels) && !is.null(entry[["n"]])) return(entry[["n"]])
  }
  NA_integer_
}

total <- function(counts) {
  counts <- unlist(counts)
  # A sum over only some stations would read like a total.
  list(n = if (anyNA(counts)) NA_integer_ else sum(counts), suppressed = sum(is.na(counts)), of = length(counts))
}
