"""What screens are made of: each widget knows neither the screens nor the app."""
