# How the answer reads: sections for people, values for programs. No table is wider than 76 characters.

effect_section <- function(pooled, treated) {
  if (is.na(pooled$hr)) {
    return(list(heading = "Effect", lines = list("No released test holds information: no effect can be estimated.")))
  }
  list(heading = "Effect", lines = list(
    sprintf("Stratified log-rank: chi-squared %.1f on 1 degree of freedom, p %s", pooled$chisq, p_text(pooled$p)),
    sprintf("Hazard ratio of %s (Peto, one step): %s", short(treated), fixed(pooled$hr)),
    sprintf("95 %% interval: %s to %s", fixed(pooled$low), fixed(pooled$high)),
    if (is.na(pooled$q)) "Heterogeneity: needs two stations with events"
    else sprintf(
      "Heterogeneity: Q %.2f on %d degree%s of freedom, p %s",
      pooled$q, pooled$q_df, if (pooled$q_df == 1) "" else "s", p_text(pooled$q_p)
    )
  ))
}

station_section <- function(tests) {
  rows <- lapply(seq_len(nrow(tests)), function(i) {
    one <- pool(tests$u[[i]], tests$v[[i]])
    interval <- if (is.na(one$hr)) "-" else paste(fixed(one$low), "to", fixed(one$high))
    list(
      short(tests$station[[i]]), sprintf("%.3f", tests$u[[i]]), sprintf("%.3f", tests$v[[i]]),
      fixed(one$hr), interval, fixed(tests$without[[i]])
    )
  })
  list(
    heading = "By station",
    table = list(columns = list("Station", "U = O - E", "V", "HR", "95 % interval", "HR without"), rows = rows)
  )
}

count_section <- function(counts) {
  said <- function(count) {
    if (is.na(count$n)) sprintf("suppressed at %d of %d", count$suppressed, count$of) else as.character(count$n)
  }
  list(
    heading = "Patients and events",
    lines = list(
      "Counts are as the stations released them: small ones suppressed, the",
      "others rounded (commonly to 5), so that totals are approximate.",
      "U and V are released with 4 significant digits."
    ),
    table = list(
      columns = list("Arm", "Patients", "Events"),
      rows = unname(lapply(names(counts), function(arm) {
        list(short(arm), said(counts[[arm]]$patients), said(counts[[arm]]$events))
      }))
    )
  )
}

part_section <- function(results, tests) {
  list(heading = "Who took part", lines = lapply(names(results), function(station) {
    if (station %in% tests$station) paste0(station, ": in the test")
    else paste0(station, ": not in the test (suppressed or not released there)")
  }))
}

# Flat names for programs; an unknown number is null.
values_of <- function(pooled, tests, counts, stations) {
  values <- list(
    chi_squared = pooled$chisq, chi_squared_df = 1L, p = pooled$p,
    hazard_ratio = pooled$hr, hazard_ratio_low = pooled$low, hazard_ratio_high = pooled$high,
    heterogeneity_q = pooled$q, heterogeneity_df = pooled$q_df, heterogeneity_p = pooled$q_p,
    u = pooled$u, v = pooled$v, stations = stations, stations_in_test = nrow(tests)
  )
  for (i in seq_len(nrow(tests))) {
    of <- function(name) paste0(name, ".", tests$station[[i]])
    values[[of("u")]] <- tests$u[[i]]
    values[[of("v")]] <- tests$v[[i]]
    values[[of("hazard_ratio_without")]] <- tests$without[[i]]
  }
  for (arm in names(counts)) {
    values[[paste0("patients.", arm)]] <- counts[[arm]]$patients$n
    values[[paste0("events.", arm)]] <- counts[[arm]]$events$n
  }
  values
}

fixed <- function(x) if (is.na(x)) "-" else if (x >= 1000) "> 999" else sprintf("%.2f", x)

p_text <- function(p) {
  if (p < 0.0001) return("< 0.0001")
  sprintf(if (p < 0.001) "= %.4f" else if (p < 0.1) "= %.3f" else "= %.2f", p)
}

# Names may have 40 to 80 characters; the tables have not the room.
short <- function(text) if (nchar(text) > 21) paste0(substr(text, 1, 20), "~") else text
