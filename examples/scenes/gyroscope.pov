// A gyroscope of three golden rings round a glass ball, on polished stone, in the last light.
// One loop while `clock` goes from 0 to 1. Try: povray gyroscope.pov +W320 +H180 +KFF48 +KC +A0.2
// (+KC makes the loop seamless: frame 49 would be frame 1 again.)
#version 3.7;
#include "colors.inc"
#include "textures.inc"
#include "metals.inc"
#include "stones.inc"

global_settings { assumed_gamma 1.0 max_trace_level 8 }

camera {
  location vrotate(<0, 2.9, -8.8>, <0, 18 * sin(2 * pi * clock), 0>)
  look_at <0, 1.85, 0>
  right x * image_width / image_height
  angle 46
}

light_source {
  <-9, 8, -6>, rgb <1.55, 1.25, 0.95>
  area_light <1.6, 0, 0>, <0, 1.6, 0>, 3, 3 adaptive 1 jitter
}
light_source { <10, 5, -3>, rgb <0.16, 0.22, 0.38> shadowless }

sky_sphere {
  pigment {
    gradient y
    color_map {
      [0.00 rgb <0.52, 0.22, 0.15>]
      [0.05 rgb <0.34, 0.14, 0.20>]
      [0.16 rgb <0.09, 0.07, 0.20>]
      [0.50 rgb <0.02, 0.03, 0.12>]
      [1.00 rgb <0.01, 0.01, 0.05>]
    }
  }
}

// Only over the far end of the floor: the horizon is a haze, not an edge.
fog { fog_type 2 distance 30 fog_offset 0.05 fog_alt 0.12 rgb <0.52, 0.22, 0.15> }

plane {
  y, 0
  texture {
    pigment {
      hexagon
      rgb <0.10, 0.12, 0.17>, rgb <0.05, 0.06, 0.09>, rgb <0.17, 0.17, 0.21>
      scale 0.8
    }
    normal { bumps 0.015 scale 0.3 }
    finish { ambient 0.04 diffuse 0.75 specular 0.5 roughness 0.01 reflection { 0.06, 0.45 fresnel on } conserve_energy }
  }
  interior { ior 1.6 }
}

#declare Gold = texture {
  pigment { rgb <0.90, 0.58, 0.20> }
  finish { ambient 0.06 diffuse 0.45 specular 0.9 roughness 0.012 metallic reflection { 0.45 metallic } brilliance 2.2 }
}

#macro Ring(Radius, Turn)
  union {
    difference {
      cylinder { -0.13 * y, 0.13 * y, Radius + 0.07 }
      cylinder { -0.14 * y, 0.14 * y, Radius - 0.07 }
    }
    torus { Radius, 0.095 translate 0.13 * y }
    torus { Radius, 0.095 translate -0.13 * y }
    #for (Knob, 0, 11)
      sphere { <Radius + 0.09, 0, 0>, 0.085 rotate 30 * Knob * y }
    #end
    texture { Gold }
    rotate Turn
  }
#end

union {
  object { Ring(1.60, <90, 0, 0>) rotate 360 * clock * y }
  object { Ring(1.28, <0, 0, 35>) rotate <360 * clock, 0, 0> rotate 360 * clock * y }
  object { Ring(0.98, <60, 0, 20>) rotate <0, 0, -720 * clock> rotate 40 * y }
  sphere {
    0, 0.66
    texture {
      pigment { rgbt <0.92, 0.97, 1.0, 0.96> }
      finish { ambient 0 diffuse 0.03 specular 0.9 roughness 0.002 reflection { 0.02, 0.9 fresnel on } conserve_energy }
    }
    interior { ior 1.5 fade_distance 3 fade_power 1 }
  }
  sphere {
    0, 0.2
    texture {
      pigment { rgb <1.0, 0.42, 0.10> }
      finish { ambient 1.0 + 0.4 * sin(4 * pi * clock) diffuse 0.4 }
    }
  }
  translate 1.95 * y
}

// The foot that the gyroscope hovers over.
lathe {
  cubic_spline 7
  <0.9, -0.1>, <0.95, 0.0>, <0.86, 0.08>, <0.34, 0.14>, <0.2, 0.2>, <0.0, 0.22>, <-0.1, 0.2>
  texture { T_Stone24 scale 0.4 finish { ambient 0.06 specular 0.6 roughness 0.01 reflection 0.08 } }
}

// Small planets on the floor go round it.
#for (Number, 0, 8)
  sphere {
    <3.1, 0.2 + 0.12 * (1 + sin(4 * pi * clock + Number * 1.4)), 0>, 0.2
    texture {
      pigment { rgb vnormalize(<1.2 + sin(Number * 2.1), 1.1 + sin(Number * 2.1 + 2.1), 1.1 + sin(Number * 2.1 + 4.2)>) }
      finish { ambient 0.08 diffuse 0.7 specular 0.8 roughness 0.01 reflection { 0.05, 0.5 fresnel on } conserve_energy }
    }
    interior { ior 1.5 }
    rotate (-40 * Number - 360 * clock) * y
  }
#end
